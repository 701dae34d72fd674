//! Cycles among those who wait for each other, where one may wait for several things at once.

use super::super::actor::Actor;

/// Waits each for the next, the last for the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cycle {
    /// Indices of the graph's waits.
    pub(crate) waits: Vec<usize>,
    /// Those of waits that will not end either, since what they wait for is held by one of the cycle, or by another that is here.
    pub(crate) behind: Vec<usize>,
    pub(crate) certain: bool,
}

/// What the search has to know of a wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub(super) actor: Actor,
    /// The task that the actor, a thread, runs.
    pub(super) task: Actor,
    /// Stack pointer of a thread asleep.
    pub(super) sleeps_at: Option<u64>,
    pub(super) edge: Option<Edge>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    pub(super) to: Actor,
    pub(super) certain: bool,
}

/// Every cycle of those that will not wake up by themselves. Each is found once, in a fixed order.
pub(super) fn find(nodes: &[Node]) -> Vec<Cycle> {
    #[derive(Clone, Copy)]
    enum Mark {
        Unseen,
        /// At this place of the path being followed.
        OnPath(usize),
        /// Of this cycle, or behind it.
        Of(usize),
    }
    let actors = Actors::of(nodes);
    let stuck = actors.stuck(nodes);
    // The first wait of each that is stuck, and from a wait to whom it is for: among the stuck this goes on for ever.
    let first = |actor: usize| actors.waits(actor).first().map(|(_, wait)| *wait);
    let is_stuck = |actor: &usize| stuck.get(*actor) == Some(&true);
    let next = |wait: usize| {
        let edge = nodes.get(wait)?.edge?;
        actors.number(edge.to).filter(is_stuck).and_then(first)
    };
    let mark = |marks: &mut [Mark], waits: &[usize], mark| {
        waits.iter().for_each(|wait| marks.get_mut(*wait).into_iter().for_each(|m| *m = mark));
    };
    let mut marks = vec![Mark::Unseen; nodes.len()];
    let mut cycles: Vec<Cycle> = Vec::new();
    for start in (0..stuck.len()).filter(is_stuck).filter_map(first) {
        let (mut path, mut at) = (Vec::new(), Some(start));
        let met = loop {
            let Some((wait, mark)) = at.and_then(|at| Some((at, marks.get_mut(at)?))) else {
                break Mark::Unseen;
            };
            if !matches!(mark, Mark::Unseen) {
                break *mark;
            }
            *mark = Mark::OnPath(path.len());
            path.push(wait);
            at = next(wait);
        };
        let number = match met {
            Mark::Of(number) => number,
            Mark::OnPath(from) => {
                let waits = path.split_off(from);
                let mut edges =
                    waits.iter().map(|wait| nodes.get(*wait).and_then(|node| node.edge));
                let certain = edges.all(|edge| edge.is_some_and(|edge| edge.certain));
                mark(&mut marks, &waits, Mark::Of(cycles.len()));
                cycles.push(Cycle { waits, behind: Vec::new(), certain });
                cycles.len() - 1
            }
            Mark::Unseen => continue,
        };
        mark(&mut marks, &path, Mark::Of(number));
        if let Some(cycle) = cycles.get_mut(number) {
            cycle.behind.extend(path);
        }
    }
    cycles
}

/// Who waits, numbered in order.
struct Actors {
    /// With an index of the nodes each, sorted.
    waits: Vec<(Actor, usize)>,
    /// Of each actor, where its waits begin in `waits`; and the end.
    starts: Vec<usize>,
}

impl Actors {
    fn of(nodes: &[Node]) -> Actors {
        let mut waits: Vec<(Actor, usize)> = nodes
            .iter()
            .enumerate()
            .flat_map(|(index, node)| [(node.actor, index), (node.task, index)])
            .filter(|(actor, _)| *actor != Actor::NOBODY)
            .collect();
        waits.sort_unstable();
        // A thread asleep does nothing else, nor does the task that it runs. If it sleeps within another wait, it is the inner one that counts.
        let sleeps_at = |wait: &(Actor, usize)| nodes.get(wait.1).and_then(|node| node.sleeps_at);
        let mut kept = Vec::with_capacity(waits.len());
        let mut starts = Vec::new();
        for same in waits.chunk_by(|a, b| a.0 == b.0) {
            starts.push(kept.len());
            let innermost = same.iter().filter_map(sleeps_at).min();
            let counts =
                |wait: &&(Actor, usize)| innermost.is_none() || sleeps_at(wait) == innermost;
            kept.extend(same.iter().filter(counts));
        }
        starts.push(kept.len());
        Actors { waits: kept, starts }
    }

    fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    fn waits(&self, number: usize) -> &[(Actor, usize)] {
        match (self.starts.get(number), self.starts.get(number + 1)) {
            (Some(start), Some(end)) => self.waits.get(*start..*end).unwrap_or(&[]),
            _ => &[],
        }
    }

    fn number(&self, actor: Actor) -> Option<usize> {
        let starts = self.starts.get(..self.len())?;
        let at = |start: &usize| self.waits.get(*start).map(|(actor, _)| *actor);
        starts.binary_search_by_key(&Some(actor), at).ok()
    }

    /// Those of whose waits none ends before another one of theirs has.
    ///
    /// Found from the others: who waits for nobody, or for somebody who does not wait, will wake up, and so will whoever waits for it.
    fn stuck(&self, nodes: &[Node]) -> Vec<bool> {
        let mut stuck = vec![true; self.len()];
        let mut awake: Vec<usize> = Vec::new();
        let mut waiters: Vec<(usize, usize)> = Vec::new();
        for actor in 0..self.len() {
            for (_, wait) in self.waits(actor) {
                let edge = nodes.get(*wait).and_then(|node| node.edge);
                match edge.and_then(|edge| self.number(edge.to)) {
                    Some(to) => waiters.push((to, actor)),
                    None => awake.push(actor),
                }
            }
        }
        waiters.sort_unstable();
        while let Some(actor) = awake.pop() {
            if let Some(stuck) = stuck.get_mut(actor).filter(|stuck| **stuck) {
                *stuck = false;
                let from = waiters.partition_point(|(to, _)| *to < actor);
                let of = waiters.iter().skip(from).take_while(|(to, _)| *to == actor);
                awake.extend(of.map(|(_, waiter)| *waiter));
            }
        }
        stuck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nodes by number; whom each waits for, if for anybody.
    fn graph(waits: &[(u64, Option<u64>)]) -> Vec<(Vec<u64>, Vec<u64>)> {
        let nodes: Vec<Node> = waits
            .iter()
            .map(|(actor, to)| Node {
                actor: Actor::task(*actor),
                task: Actor::NOBODY,
                sleeps_at: None,
                edge: to.map(|to| Edge { to: Actor::task(to), certain: true }),
            })
            .collect();
        let actors = |list: &[usize]| list.iter().map(|i| nodes[*i].actor.number()).collect();
        find(&nodes).iter().map(|c| (actors(&c.waits), actors(&c.behind))).collect()
    }

    #[test]
    fn cycles_are_told_from_what_leads_to_them() {
        let to = |actor, to| (actor, Some(to));
        assert_eq!(graph(&[]), []);
        assert_eq!(graph(&[to(1, 2), to(2, 3), (3, None)]), []);
        assert_eq!(graph(&[to(1, 2), to(2, 3)]), [], "3 does not wait");
        assert_eq!(graph(&[to(1, 1)]), [(vec![1], vec![])]);
        let two = [to(5, 1), to(1, 2), to(2, 1), to(4, 3), to(3, 4), to(6, 5), to(7, 8)];
        assert_eq!(graph(&two), [(vec![1, 2], vec![5, 6]), (vec![3, 4], vec![])]);
        // Who waits for two things goes on when one of them comes.
        assert_eq!(graph(&[to(1, 2), to(2, 1), to(1, 3)]), []);
        assert_eq!(graph(&[to(1, 2), to(2, 1), to(1, 3), to(3, 1)]).len(), 1);
    }
}
