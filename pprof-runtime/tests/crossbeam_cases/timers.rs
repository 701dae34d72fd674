//! Receivers that the clock sends to.

use std::time::{Duration, Instant};

use super::A_MOMENT;
use crate::channel::{RecvTimeoutError, TryRecvError, after, at, never, select, tick};

#[test]
fn after_and_at_deliver_once() {
    let start = Instant::now();
    for r in [after(A_MOMENT), at(start + A_MOMENT)] {
        let other = r.clone();
        assert_eq!((r.capacity(), r.same_channel(&other)), (Some(1), true));
        let delivered = r.recv().unwrap();
        assert!(delivered >= start + A_MOMENT && delivered <= Instant::now());
        assert_eq!(other.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(other.recv_timeout(A_MOMENT), Err(RecvTimeoutError::Timeout));
    }
    assert!(after(Duration::ZERO).try_recv().is_ok());
    assert_eq!(after(Duration::MAX).try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn ticks_go_on() {
    let start = Instant::now();
    let r = tick(A_MOMENT);
    assert_eq!(r.capacity(), Some(1));
    let times: Vec<_> = r.iter().take(3).collect();
    assert!(times.is_sorted());
    assert!(start.elapsed() >= 3 * A_MOMENT);
    assert_eq!(tick(Duration::MAX).try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn timers_can_be_selected() {
    let start = Instant::now();
    select! {
        recv(after(A_MOMENT)) -> time => assert!(time.unwrap() >= start + A_MOMENT),
        recv(never::<u8>()) -> _ => unreachable!(),
    }
    assert!(start.elapsed() >= A_MOMENT);
    select! {
        recv(never::<u8>()) -> _ => unreachable!(),
        default(A_MOMENT) => {}
    }
    assert!(start.elapsed() >= 2 * A_MOMENT);
}
