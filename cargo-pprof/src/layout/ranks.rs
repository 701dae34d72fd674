//! Which rank each box is on.

use super::simplex::{Constraint, earliest, solve};
use super::{Edge, TooLarge};

/// Exchanges of the simplex. Graphs of profiles take about as many as they have boxes.
const MOST: usize = 20_000;

/// Boxes and edges that all exchanges look at, if each looks at all: some seconds.
const WORK: usize = 200_000_000;

/// Ranks that edges pass before the simplex makes them shorter are at most so many times those that they pass then.
const SHORTENED: i64 = 4;

/// Edges go down; the sum of their weights times their lengths is least.
///
/// # Errors
/// The ranks that all edges pass, where these are more than `most` by far.
pub(super) fn ranks(nodes: usize, edges: &[Edge], most: usize) -> Result<Vec<usize>, TooLarge> {
    let constraints: Vec<Constraint> = edges
        .iter()
        .map(|e| Constraint { from: e.from, to: e.to, length: e.min_length, weight: e.weight })
        .collect();
    let first = earliest(nodes, &constraints);
    let passed = constraints.iter().map(|edge| first[edge.to] - first[edge.from]).sum::<i64>();
    if usize::try_from(passed / SHORTENED).is_ok_and(|passed| passed > most) {
        return Err(TooLarge(passed as usize));
    }
    let mut ranks = solve(nodes, &constraints, MOST.min(WORK / (nodes + edges.len()).max(1)));
    let first = ranks.iter().copied().min().unwrap_or(0);
    ranks.iter_mut().for_each(|rank| *rank -= first);
    spread(&mut ranks, &constraints);
    Ok(ranks.into_iter().map(|rank| rank as usize).collect())
}

/// Boxes that pull as much up as down go to the emptiest of the ranks that they may be on.
fn spread(ranks: &mut [i64], constraints: &[Constraint]) {
    let last = ranks.iter().copied().max().unwrap_or(0);
    let mut filled = vec![0u32; last as usize + 1];
    ranks.iter().for_each(|rank| filled[*rank as usize] += 1);
    let mut touching = vec![Vec::new(); ranks.len()];
    for constraint in constraints {
        touching[constraint.from].push(*constraint);
        touching[constraint.to].push(*constraint);
    }
    for node in 0..ranks.len() {
        let (mut pull, mut first, mut end) = (0, 0, last);
        for Constraint { from, to, length, weight } in touching[node].iter().copied() {
            if from == node {
                pull += weight;
                end = end.min(ranks[to] - length);
            } else {
                pull -= weight;
                first = first.max(ranks[from] + length);
            }
        }
        if pull != 0 || touching[node].is_empty() {
            continue;
        }
        let now = ranks[node];
        let best = (first..=end).min_by_key(|rank| (filled[*rank as usize], (rank - now).abs()));
        let best = best.unwrap_or(now);
        if filled[best as usize] + 1 < filled[now as usize] {
            filled[now as usize] -= 1;
            filled[best as usize] += 1;
            ranks[node] = best;
        }
    }
}
