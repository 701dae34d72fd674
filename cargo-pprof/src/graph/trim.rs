//! Leaves out what weighs little, so that a report is of what matters.

use std::collections::{HashMap, VecDeque};

use super::build::{Builder, EdgesOf};
use super::links::Links;
use super::order::Order;
use super::{Edge, EdgeId, Graph, Infos, NodeId};
use crate::measurement::to_integer;
use crate::profile::Profile;

/// Parts of a node, as tags, that are drawn at most.
pub const MAX_TAGS: usize = 4;

/// How much is left out.
#[derive(Clone, Copy, Debug)]
pub struct Trim {
    /// Nodes that are shown at most; no bound if it is not above zero.
    pub node_count: i64,
    /// Of the total, what a node has to have.
    pub node_fraction: f64,
    /// Of the total, what an edge has to have.
    pub edge_fraction: f64,
    /// By what a node has with its callees, not alone.
    pub by_cum: bool,
    /// For a picture.
    pub is_picture: bool,
}

impl Trim {
    fn count(self) -> usize {
        match usize::try_from(self.node_count) {
            Ok(0) | Err(_) => usize::MAX,
            Ok(count) => count,
        }
    }
}

/// A graph without what weighs little.
#[derive(Debug)]
pub struct Trimmed {
    /// It.
    pub graph: Graph,
    /// Nodes that weigh enough.
    pub original: usize,
    /// Nodes that do not.
    pub dropped_nodes: usize,
    /// Edges that do not.
    pub dropped_edges: usize,
}

/// Builds a graph and leaves out what weighs little.
///
/// Where nodes go, edges are of the samples and not of the graph before: that does not know what goes through two of its edges.
#[must_use]
pub fn trimmed(builder: Builder<'_>, infos: Infos, trim: Trim) -> Trimmed {
    let Builder { profile, options, .. } = builder;
    debug_assert!(!trim.is_picture || options.edges == EdgesOf::AllNodes);
    let mut graph = builder.nodes(infos);
    let total = graph.iter().fold(0i64, |sum, node| sum.wrapping_add(node.flat));
    let cutoff = |fraction: f64| to_integer(total as f64 * fraction).wrapping_abs();
    let (node_cutoff, edge_cutoff) = (cutoff(trim.node_fraction), cutoff(trim.edge_fraction));
    // All, those that are not shown too, until some are left out.
    let mut kept: Option<Vec<bool>> = None;
    let mut dropped_nodes = 0;
    if node_cutoff > 0 {
        let weighs = |id: &NodeId| graph.node(*id).cum.wrapping_abs() >= node_cutoff;
        let heavy: Vec<NodeId> = graph.shown.iter().copied().filter(weighs).collect();
        dropped_nodes = graph.shown.len() - heavy.len();
        if dropped_nodes > 0 {
            kept = Some(graph.keep(heavy, builder));
        }
    }
    let original = graph.shown.len();
    let connect = |graph: &mut Graph, kept: Option<&[bool]>| {
        if !options.is_tree {
            builder.connect(graph, kept, node_cutoff);
        }
    };
    let order = match (trim.is_picture, trim.by_cum) {
        (true, _) => Order::Entropy,
        (false, true) => Order::Cum,
        (false, false) => Order::Flat,
    };
    if trim.is_picture {
        connect(&mut graph, kept.as_deref());
    }
    graph.sort(order, &profile.texts);
    if trim.node_count > 0 {
        // Of a picture, what is left of them counts when nodes are chosen.
        graph.trim_tags(node_cutoff);
        graph.trim_edges(edge_cutoff);
        let count = graph.count_to_show(trim);
        if count < graph.shown.len() {
            let first = graph.shown[..count].to_vec();
            kept = Some(graph.keep(first, builder));
            if trim.is_picture {
                connect(&mut graph, kept.as_deref());
            }
            graph.sort(order, &profile.texts);
        }
    }
    if !trim.is_picture {
        connect(&mut graph, kept.as_deref());
    }
    graph.trim_tags(node_cutoff);
    let dropped_edges = graph.trim_edges(edge_cutoff);
    if trim.is_picture {
        graph.remove_redundant_edges(profile);
    }
    Trimmed { graph, original, dropped_nodes, dropped_edges }
}

fn mask(kept: &[NodeId], len: usize) -> Vec<bool> {
    let mut mask = vec![false; len];
    kept.iter().for_each(|id| mask[*id as usize] = true);
    mask
}

impl Graph {
    /// Shows these nodes alone, and says which they are.
    fn keep(&mut self, shown: Vec<NodeId>, builder: Builder<'_>) -> Vec<bool> {
        let kept = mask(&shown, self.nodes.len());
        if builder.options.is_tree {
            self.trim_tree(&shown, builder.profile);
        } else {
            self.shown = shown;
        }
        kept
    }

    /// How many of the first nodes are shown: in pictures their tags take places too.
    fn count_to_show(&self, trim: Trim) -> usize {
        let most = trim.count();
        if trim.is_picture {
            let mut places = 0;
            for (index, id) in self.shown.iter().enumerate() {
                let tags = self.tags(*id).filter(|tag| tag.flat != 0).count();
                places += tags.min(MAX_TAGS) + 1;
                if places >= most {
                    return index + 1;
                }
            }
        }
        most.min(self.shown.len())
    }

    fn trim_tags(&mut self, cutoff: i64) {
        self.tags.retain(|(_, tag)| tag.weighs(cutoff));
    }

    /// Takes away edges to nodes that are shown; how many.
    fn trim_edges(&mut self, cutoff: i64) -> usize {
        let mut is_light = vec![false; self.edges.len()];
        let mut count = 0;
        for id in self.shown.iter().flat_map(|node| self.callers(*node)) {
            if self.edge(id).weight.wrapping_abs() < cutoff {
                is_light[id as usize] = true;
                count += 1;
            }
        }
        if count > 0 {
            self.callers.retain(|id| !is_light[id as usize]);
            self.callees.retain(|id| !is_light[id as usize]);
        }
        count
    }

    fn remove_edge(&mut self, id: EdgeId) {
        let edge = self.edges[id as usize];
        self.callees.retain_of(edge.caller, |other| other != id);
        self.callers.retain_of(edge.callee(), |other| other != id);
    }

    /// Takes away edges over left out nodes where another way leads to the same node: from the end of the nodes, and of each the lightest first, up
    /// to the first that goes over none.
    fn remove_redundant_edges(&mut self, profile: &Profile) {
        for index in (0..self.shown.len()).rev() {
            let callers = self.callers(self.shown[index]);
            if !callers.clone().any(|id| self.edge(id).is_residual()) {
                continue;
            }
            for id in self.sorted_edges(callers, &profile.texts).into_iter().rev() {
                if !self.edge(id).is_residual() {
                    break;
                }
                if self.is_redundant(id) {
                    self.remove_edge(id);
                }
            }
        }
    }

    fn is_redundant(&self, id: EdgeId) -> bool {
        let edge = self.edge(id);
        let mut seen = vec![false; self.nodes.len()];
        seen[edge.callee() as usize] = true;
        let mut queue = VecDeque::from([edge.callee()]);
        while let Some(node) = queue.pop_front() {
            for other in self.callers(node) {
                let caller = self.edge(other).caller;
                if other == id || seen[caller as usize] {
                    continue;
                }
                if caller == edge.caller {
                    return true;
                }
                seen[caller as usize] = true;
                queue.push_back(caller);
            }
        }
        false
    }

    /// Takes nodes out of a tree: their callees are their caller's then.
    fn trim_tree(&mut self, kept: &[NodeId], profile: &Profile) {
        let is_kept = mask(kept, self.nodes.len());
        // Taken out of lists at the end, all at once: a node may have ever so many callees. Others come to their ends then, too.
        let mut is_gone = vec![false; self.edges.len()];
        let mut adopted: HashMap<NodeId, Vec<EdgeId>> = HashMap::new();
        for id in std::mem::take(&mut self.shown) {
            if is_kept[id as usize] {
                self.shown.push(id);
                continue;
            }
            let more = adopted.remove(&id).unwrap_or_default();
            let callees = self.callees(id).chain(more);
            let callees: Vec<EdgeId> = callees.filter(|edge| !is_gone[*edge as usize]).collect();
            let from_parent = self.callers(id).next().filter(|edge| !is_gone[*edge as usize]);
            let Some(from_parent) = from_parent else {
                callees.iter().for_each(|edge| is_gone[*edge as usize] = true);
                continue;
            };
            let Edge { caller: parent, callee: between, .. } = *self.edge(from_parent);
            is_gone[from_parent as usize] = true;
            for &id in &callees {
                let edge = &mut self.edges[id as usize];
                if let Some(divisor) = self.divisors.remove(&(edge.caller, edge.callee())) {
                    self.divisors.insert((parent, edge.callee()), divisor);
                }
                (edge.caller, edge.callee) = (parent, edge.callee.over(between));
            }
            self.callees.retain_of(id, |_| false);
            adopted.entry(parent).or_default().extend(callees);
        }
        let lists = (0..self.nodes.len() as NodeId).map(|node| {
            let all = self.callees(node).chain(adopted.remove(&node).unwrap_or_default());
            all.filter(|edge| !is_gone[*edge as usize]).collect()
        });
        self.callees = Links::of_lists(lists);
        self.callers.retain(|edge| !is_gone[edge as usize]);
        self.remove_redundant_edges(profile);
    }
}
