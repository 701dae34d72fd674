//! Without the feature `instrument`: the originals in the places of our locks, channels and threads.
//!
//! Only re-exports, so that programs compile to what they were before they were profiled.

/// The channels of `crossbeam-channel`, as they are: the feature `instrument` is off.
#[cfg(feature = "crossbeam")]
pub mod crossbeam_channel {
    pub use ::crossbeam_channel::*;
}

/// The locks of `parking_lot` 0.13, as they are: the feature `instrument` is off.
#[cfg(feature = "parking_lot")]
pub mod parking_lot {
    pub use ::parking_lot_0_13::*;
}

/// What [`std::sync`] has, as it is: the feature `instrument` is off.
pub mod sync {
    pub use std::sync::*;
}

/// What [`std::thread`] has, as it is: the feature `instrument` is off.
pub mod thread {
    pub use std::thread::*;

    /// Nothing records sleeps here: returns false.
    pub fn set_sleep_profile(_on: bool) -> bool {
        false
    }
}

/// What [`tokio`](::tokio) has that waits, as it is: the feature `instrument` is off.
#[cfg(feature = "tokio")]
pub mod tokio {
    pub use ::tokio::{spawn, sync, task};
}

#[cfg(test)]
mod tests {
    use std::any::TypeId;

    /// Ours are the originals.
    macro_rules! assert_same {
        ($($ours:ty = $original:ty),* $(,)?) => {
            $(assert_eq!(TypeId::of::<$ours>(), TypeId::of::<$original>());)*
        };
    }

    #[test]
    fn types_are_the_originals() {
        assert_same!(
            crate::sync::Mutex<u8> = std::sync::Mutex<u8>,
            crate::sync::MutexGuard<'static, u8> = std::sync::MutexGuard<'static, u8>,
            crate::sync::RwLock<u8> = std::sync::RwLock<u8>,
            crate::sync::Condvar = std::sync::Condvar,
            crate::sync::Once = std::sync::Once,
            crate::sync::OnceLock<u8> = std::sync::OnceLock<u8>,
            crate::sync::LazyLock<u8> = std::sync::LazyLock<u8>,
            crate::sync::Barrier = std::sync::Barrier,
            crate::sync::mpsc::Receiver<u8> = std::sync::mpsc::Receiver<u8>,
            crate::thread::JoinHandle<u8> = std::thread::JoinHandle<u8>,
            crate::thread::Builder = std::thread::Builder,
        );
        #[cfg(feature = "crossbeam")]
        assert_same!(
            crate::crossbeam_channel::Sender<u8> = ::crossbeam_channel::Sender<u8>,
            crate::crossbeam_channel::Select<'static> = ::crossbeam_channel::Select<'static>,
        );
        #[cfg(feature = "parking_lot")]
        assert_same!(
            crate::parking_lot::Mutex<u8> = ::parking_lot_0_13::Mutex<u8>,
            crate::parking_lot::RwLock<u8> = ::parking_lot_0_13::RwLock<u8>,
            crate::parking_lot::Condvar = ::parking_lot_0_13::Condvar,
        );
        #[cfg(feature = "tokio")]
        assert_same!(
            crate::tokio::sync::Mutex<u8> = ::tokio::sync::Mutex<u8>,
            crate::tokio::sync::mpsc::Sender<u8> = ::tokio::sync::mpsc::Sender<u8>,
        );
        assert!(!crate::thread::set_sleep_profile(true));
    }
}
