//! A graph from samples.
//!
//! What nodes weigh does not depend on which of them are shown, and takes one look at each frame. Edges and parts of nodes do, and are many before
//! the light nodes are gone: so nodes are first.

use std::collections::HashMap;

use super::edges::{Callee, Divisors, Edges, Kind, Weight};
use super::sites::{Sites, functions};
use super::tags::TagTable;
use super::{Edge, Graph, Infos, Node, NodeId, Nodes};
use crate::filter::Units;
use crate::profile::{Profile, Sample};

/// Which edges a report has a use for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EdgesOf {
    /// None.
    Nothing,
    /// Those to nodes that are inlined somewhere: whether they are everywhere is all that is asked.
    InlinedNodes,
    /// Those from or to these nodes.
    Nodes(Vec<bool>),
    /// All.
    AllNodes,
}

/// What a graph is of.
#[derive(Clone, Debug)]
pub struct Options {
    /// Index of the values.
    pub value: usize,
    /// Index of what they are a mean over.
    pub divisor: Option<usize>,
    /// A node for each context.
    pub is_tree: bool,
    /// Without nodes below zero.
    pub drop_negative: bool,
    /// Whether nodes say which are of one function; those of a tree do.
    pub has_functions: bool,
    /// What is needed of the edges.
    pub edges: EdgesOf,
    /// In which unit numbers of tags are printed; `None` if tags are of no use.
    pub tag_unit: Option<String>,
}

/// What a graph is built from.
#[derive(Clone, Copy, Debug)]
pub struct Builder<'p> {
    /// With samples.
    pub profile: &'p Profile,
    /// The nodes of its locations.
    pub sites: &'p Sites,
    /// Of its numeric labels.
    pub units: &'p Units,
    /// What is asked for.
    pub options: &'p Options,
}

const NOBODY: NodeId = NodeId::MAX;

/// What a node has with its callees.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    /// The last sample that it was seen in: each counts once.
    seen: u32,
    cum: i64,
}

impl<'p> Builder<'p> {
    /// Nodes and edges, with all parts of nodes.
    #[must_use]
    pub fn whole(&self, infos: Infos) -> Graph {
        let mut graph = self.nodes(infos);
        if !self.options.is_tree {
            self.connect(&mut graph, None, 0);
        }
        graph
    }

    /// What nodes weigh, which are these. Those of a tree have edges and parts too: they are what tells them apart.
    #[must_use]
    pub fn nodes(&self, infos: Infos) -> Graph {
        let mut graph = if self.options.is_tree { self.tree(&infos) } else { self.weighed(&infos) };
        graph.infos = infos;
        let is_shown = |node: Node| {
            let is_negative = node.flat < 0 || node.flat == 0 && node.cum < 0;
            (node.cum != 0 || node.flat != 0) && !(self.options.drop_negative && is_negative)
        };
        let all = 0..graph.nodes.len() as NodeId;
        graph.shown = all.filter(|id| is_shown(graph.node(*id))).collect();
        graph
    }

    /// Value and divisor; nothing if they say nothing.
    fn weight(&self, sample: Sample<'_>) -> Option<(i64, i64)> {
        let value = sample.values[self.options.value];
        let divisor = self.options.divisor.map_or(0, |index| sample.values[index]);
        (value != 0 || divisor != 0).then_some((value, divisor))
    }

    fn weighed(&self, infos: &Infos) -> Graph {
        let sites = self.sites;
        let functions = if self.options.has_functions { functions(infos) } else { vec![] };
        let mut nodes = Nodes::of_infos(infos.len(), functions);
        // What every frame changes, and no more: caches hold it.
        let mut sums = vec![Sum::default(); nodes.len()];
        for (number, sample) in (1..).zip(self.profile.samples.iter()) {
            let Some((value, divisor)) = self.weight(sample) else { continue };
            // Not a loop: how wide the stack is, is asked once.
            sample.stack.iter().for_each(|location| {
                for &node in sites.of(location) {
                    let sum = &mut sums[node as usize];
                    if sum.seen != number {
                        sum.seen = number;
                        sum.cum = sum.cum.wrapping_add(value);
                        if divisor != 0 {
                            nodes.add_cum(node, (0, divisor));
                        }
                    }
                }
            });
            if let Some(leaf) = sample.stack.get(0) {
                nodes.add_flat(sites.of(leaf)[0], (value, divisor));
            }
        }
        for (node, sum) in (0..).zip(sums) {
            nodes.add_cum(node, (sum.cum, 0));
        }
        Graph { nodes, ..Graph::default() }
    }

    /// Gives the nodes that `kept` names, or all, their edges and their parts: others are left out, and edges go over them. Of parts there are
    /// those that have so much of anything at least.
    pub fn connect(&self, graph: &mut Graph, kept: Option<&[bool]>, least_part: i64) {
        graph.set_edges(Default::default());
        (graph.tags, graph.names) = Default::default();
        let count = graph.nodes.len();
        // First: what they take is free again before there are edges.
        if let Some(mut table) = self.tag_table() {
            self.add_tags(count, kept, &mut table, least_part);
            (graph.tags, graph.names) = table.finish();
        }
        // Of nodes whose edges are of use, from and to.
        let (of_callers, of_callees) = match &self.options.edges {
            EdgesOf::Nothing => (vec![false; count], vec![false; count]),
            EdgesOf::AllNodes => (vec![true; count], vec![true; count]),
            EdgesOf::InlinedNodes => (vec![false; count], self.sites.are_inlined(count)),
            EdgesOf::Nodes(nodes) => (nodes.clone(), nodes.clone()),
        };
        if of_callers.iter().chain(&of_callees).any(|is_asked| *is_asked) {
            graph.set_edges(self.edges(kept, &of_callers, &of_callees));
        }
    }

    fn edges(
        &self,
        kept: Option<&[bool]>,
        of_callers: &[bool],
        of_callees: &[bool],
    ) -> (Vec<Edge>, Divisors) {
        let is_kept = |node: NodeId| kept.is_none_or(|kept| kept[node as usize]);
        let samples = &self.profile.samples;
        let mut edges = Edges::of(samples.iter().map(|sample| sample.stack.len()).sum());
        for sample in samples.iter() {
            let Some((value, divisor)) = self.weight(sample) else { continue };
            edges.start(Weight { value, divisor });
            let (mut parent, mut is_residual) = (NOBODY, false);
            for location in sample.stack.iter().rev() {
                let nodes = self.sites.of(location);
                for (inner, &node) in nodes.iter().enumerate().rev() {
                    if !is_kept(node) {
                        is_residual = true;
                        continue;
                    }
                    if parent != NOBODY
                        && parent != node
                        && (of_callees[node as usize] || of_callers[parent as usize])
                    {
                        let is_inline = inner + 1 != nodes.len();
                        edges.add(parent, node, Kind { is_residual, is_inline });
                    }
                    (parent, is_residual) = (node, false);
                }
            }
        }
        edges.finish()
    }

    /// Nothing if tags are of no use.
    fn tag_table(&self) -> Option<TagTable<'p>> {
        let texts = &self.profile.texts;
        let unit = texts.find("bytes").map_or("", |key| self.units.of(key));
        Some(TagTable::new(texts, unit, self.options.tag_unit.as_deref()?))
    }

    fn add_tags(
        &self,
        nodes: usize,
        kept: Option<&[bool]>,
        table: &mut TagTable<'_>,
        least_part: i64,
    ) {
        table.expect_nodes(nodes);
        let samples = &self.profile.samples;
        let has_tags =
            |sample: Sample<'_>| !sample.labels.is_empty() && self.weight(sample).is_some();
        // Those with the same labels in a row.
        let mut tagged: Vec<(u32, u32)> = (0..)
            .zip(samples.iter())
            .filter(|(_, sample)| has_tags(*sample))
            .map(|(index, sample)| (table.of(sample.labels).labels, index))
            .collect();
        tagged.sort_unstable();
        let is_kept = |node: NodeId| kept.is_none_or(|kept| kept[node as usize]);
        let mut seen = vec![0; nodes];
        for row in tagged.chunk_by(|(one, _), (other, _)| one == other) {
            for &(_, index) in row {
                let sample = samples.get(index as usize);
                let Some(weight) = self.weight(sample) else { continue };
                let tags = table.of(sample.labels);
                let mut leaf = None;
                for location in sample.stack.iter().rev() {
                    for &node in self.sites.of(location).iter().rev() {
                        leaf = Some(node);
                        if is_kept(node) && seen[node as usize] != index + 1 {
                            seen[node as usize] = index + 1;
                            table.add(node, &tags, false, weight);
                        }
                    }
                }
                if let Some(leaf) = leaf.filter(|leaf| is_kept(*leaf)) {
                    table.add(leaf, &tags, true, weight);
                }
            }
            table.end_labels(row[0].0, least_part);
        }
    }

    fn tree(&self, infos: &Infos) -> Graph {
        let mut known: HashMap<(NodeId, u32), NodeId, foldhash::fast::RandomState> =
            HashMap::default();
        // Functions of different contexts are not the same.
        let (of_infos, mut functions) = (functions(infos), HashMap::new());
        let mut nodes = Nodes::default();
        // Of each node the one that calls it, and how.
        let mut calls: Vec<(NodeId, Callee)> = Vec::new();
        let mut table = self.tag_table();
        for sample in self.profile.samples.iter() {
            let Some(weight) = self.weight(sample) else { continue };
            let tags = table.as_mut().filter(|_| !sample.labels.is_empty());
            let tags = tags.map(|table| table.of(sample.labels));
            let mut add = |nodes: &mut Nodes, id: NodeId, is_flat| {
                if is_flat {
                    nodes.add_flat(id, weight);
                } else {
                    nodes.add_cum(id, weight);
                }
                if let (Some(table), Some(tags)) = (&mut table, &tags) {
                    table.add(id, tags, is_flat, weight);
                }
            };
            let mut parent = NOBODY;
            for location in sample.stack.iter().rev() {
                let infos = self.sites.of(location);
                for (inner, &info) in infos.iter().enumerate().rev() {
                    let next = nodes.len() as NodeId;
                    let is_inline = inner + 1 != infos.len();
                    let kind = Kind { is_residual: false, is_inline };
                    let node = *known.entry((parent, info)).or_insert(next);
                    if node == next {
                        let function = of_infos[info as usize];
                        let function = *functions.entry((parent, function)).or_insert(next);
                        nodes.push(info, function);
                        calls.push((parent, Callee::new(node, kind)));
                    }
                    add(&mut nodes, node, false);
                    let (_, callee) = &mut calls[node as usize];
                    *callee = callee.and(Callee::new(node, kind));
                    parent = node;
                }
            }
            if parent != NOBODY {
                add(&mut nodes, parent, true);
            }
        }
        drop((known, functions));
        let (tags, names) = table.map(TagTable::finish).unwrap_or_default();
        let mut graph = Graph { nodes, tags, names, ..Graph::default() };
        graph.set_edges(tree_edges(&graph.nodes, &calls));
        graph
    }
}

/// The edges of a tree, which have what their callees have.
fn tree_edges(nodes: &Nodes, calls: &[(NodeId, Callee)]) -> (Vec<Edge>, Divisors) {
    let calls =
        || calls.iter().copied().zip(nodes.iter()).filter(|((caller, _), _)| *caller != NOBODY);
    let divided = calls().filter(|(_, node)| node.cum_div != 0);
    let divisors = divided.map(|((caller, callee), node)| ((caller, callee.node()), node.cum_div));
    let divisors = divisors.collect();
    let mut edges: Vec<Edge> =
        calls().map(|((caller, callee), node)| Edge { caller, callee, weight: node.cum }).collect();
    edges.sort_unstable_by_key(Edge::ends);
    (edges, divisors)
}
