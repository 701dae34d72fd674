//! A graph from samples.
//!
//! What nodes weigh does not depend on which of them are shown, and takes one look at each frame. Edges and parts of nodes do, and are many before
//! the light nodes are gone: so nodes are first.

use std::collections::HashMap;

use super::edges::{Divisors, Edges, Kind, Weight};
use super::sites::Sites;
use super::tags::{Names, TagTable};
use super::{Edge, Graph, Node, NodeId};
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
    pub fn whole(&self) -> Graph {
        let mut graph = self.nodes();
        if !self.options.is_tree {
            self.connect(&mut graph, None, 0);
        }
        graph
    }

    /// What nodes weigh. Those of a tree have edges and parts too: they are what tells them apart.
    #[must_use]
    pub fn nodes(&self) -> Graph {
        let mut graph = if self.options.is_tree { self.tree() } else { self.weighed() };
        let is_shown = |node: &Node| {
            let is_negative = node.flat < 0 || node.flat == 0 && node.cum < 0;
            (node.cum != 0 || node.flat != 0) && !(self.options.drop_negative && is_negative)
        };
        let all = 0..graph.nodes.len() as NodeId;
        graph.shown = all.filter(|id| is_shown(&graph.nodes[*id as usize])).collect();
        graph
    }

    /// Value and divisor; nothing if they say nothing.
    fn weight(&self, sample: Sample<'_>) -> Option<(i64, i64)> {
        let value = sample.values[self.options.value];
        let divisor = self.options.divisor.map_or(0, |index| sample.values[index]);
        (value != 0 || divisor != 0).then_some((value, divisor))
    }

    fn weighed(&self) -> Graph {
        let node = |(info, function): (&_, &u32)| Node {
            info: *info,
            function: *function,
            ..Node::default()
        };
        let sites = self.sites;
        let mut nodes: Vec<Node> = sites.infos.iter().zip(&sites.functions).map(node).collect();
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
                            let div = &mut nodes[node as usize].cum_div;
                            *div = div.wrapping_add(divisor);
                        }
                    }
                }
            });
            if let Some(leaf) = sample.stack.get(0) {
                nodes[sites.of(leaf)[0] as usize].add(true, (value, divisor));
            }
        }
        for (node, sum) in nodes.iter_mut().zip(sums) {
            node.cum = sum.cum;
        }
        Graph { nodes, ..Graph::default() }
    }

    /// Gives the nodes that `kept` names, or all, their edges and their parts: others are left out, and edges go over them. Of parts there are
    /// those that have so much of anything at least.
    pub fn connect(&self, graph: &mut Graph, kept: Option<&[bool]>, least_part: i64) {
        for node in &mut graph.nodes {
            node.links = None;
        }
        (graph.edges, graph.divisors) = Default::default();
        let count = graph.nodes.len();
        // First: what they take is free again before there are edges.
        if let Some(mut table) = self.tag_table() {
            table.expect_nodes(count, |id| kept.is_none_or(|kept| kept[id as usize]));
            self.add_tags(graph, kept, &mut table);
            graph.names = table.finish(&mut graph.nodes, least_part);
        }
        // Of nodes whose edges are of use, from and to.
        let (of_callers, of_callees) = match &self.options.edges {
            EdgesOf::Nothing => (vec![false; count], vec![false; count]),
            EdgesOf::AllNodes => (vec![true; count], vec![true; count]),
            EdgesOf::InlinedNodes => (vec![false; count], self.sites.are_inlined()),
            EdgesOf::Nodes(nodes) => (nodes.clone(), nodes.clone()),
        };
        if of_callers.iter().chain(&of_callees).any(|is_asked| *is_asked) {
            (graph.edges, graph.divisors) = self.edges(graph, kept, &of_callers, &of_callees);
        }
    }

    fn edges(
        &self,
        graph: &mut Graph,
        kept: Option<&[bool]>,
        of_callers: &[bool],
        of_callees: &[bool],
    ) -> (Vec<Edge>, Divisors) {
        let is_kept = |node: NodeId| kept.is_none_or(|kept| kept[node as usize]);
        let mut edges = Edges::default();
        for (number, sample) in (1..).zip(self.profile.samples.iter()) {
            let Some((value, divisor)) = self.weight(sample) else { continue };
            edges.start(Weight { sample: number, value, divisor });
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
        edges.finish(&mut graph.nodes)
    }

    /// Nothing if tags are of no use.
    fn tag_table(&self) -> Option<TagTable<'p>> {
        let texts = &self.profile.texts;
        let unit = texts.find("bytes").map_or("", |key| self.units.of(key));
        Some(TagTable::new(texts, unit, self.options.tag_unit.as_deref()?))
    }

    fn add_tags(&self, graph: &mut Graph, kept: Option<&[bool]>, table: &mut TagTable<'_>) {
        let is_kept = |node: NodeId| kept.is_none_or(|kept| kept[node as usize]);
        let mut seen = vec![0; graph.nodes.len()];
        for (number, sample) in (1..).zip(self.profile.samples.iter()) {
            let Some(weight) = self.weight(sample) else { continue };
            if sample.labels.is_empty() {
                continue;
            }
            let tags = table.of(sample.labels);
            let mut leaf = None;
            for location in sample.stack.iter().rev() {
                for &node in self.sites.of(location).iter().rev() {
                    leaf = Some(node);
                    if is_kept(node) && seen[node as usize] != number {
                        seen[node as usize] = number;
                        let parts = &mut graph.nodes[node as usize].links_mut().tags;
                        table.add(node, parts, &tags, false, weight);
                    }
                }
            }
            if let Some(leaf) = leaf.filter(|leaf| is_kept(*leaf)) {
                let parts = &mut graph.nodes[leaf as usize].links_mut().tags;
                table.add(leaf, parts, &tags, true, weight);
            }
        }
    }

    fn tree(&self) -> Graph {
        let mut known: HashMap<(NodeId, u32), NodeId, foldhash::fast::RandomState> =
            HashMap::default();
        // Functions of different contexts are not the same.
        let mut functions: HashMap<(NodeId, u32), u32> = HashMap::new();
        let mut nodes: Vec<Node> = Vec::new();
        let mut edges = Edges::default();
        let mut table = self.tag_table();
        for (number, sample) in (1..).zip(self.profile.samples.iter()) {
            let Some(weight) = self.weight(sample) else { continue };
            let tags = table.as_mut().filter(|_| !sample.labels.is_empty());
            let tags = tags.map(|table| table.of(sample.labels));
            let mut add = |nodes: &mut [Node], id: NodeId, is_flat| {
                let node = &mut nodes[id as usize];
                node.add(is_flat, weight);
                if let (Some(table), Some(tags)) = (&mut table, &tags) {
                    table.add(id, &mut node.links_mut().tags, tags, is_flat, weight);
                }
            };
            edges.start(Weight { sample: number, value: weight.0, divisor: weight.1 });
            let mut parent = NOBODY;
            for location in sample.stack.iter().rev() {
                let infos = self.sites.of(location);
                for (inner, &info) in infos.iter().enumerate().rev() {
                    let next = nodes.len() as NodeId;
                    let node = *known.entry((parent, info)).or_insert(next);
                    if node == next {
                        let function = self.sites.functions[info as usize];
                        let function = *functions.entry((parent, function)).or_insert(next);
                        let info = self.sites.infos[info as usize];
                        nodes.push(Node { info, function, ..Node::default() });
                    }
                    add(&mut nodes, node, false);
                    if parent != NOBODY {
                        let is_inline = inner + 1 != infos.len();
                        edges.add(parent, node, Kind { is_residual: false, is_inline });
                    }
                    parent = node;
                }
            }
            if parent != NOBODY {
                add(&mut nodes, parent, true);
            }
        }
        let (edges, divisors) = edges.finish(&mut nodes);
        let names = table.map_or_else(Names::default, |table| table.finish(&mut nodes, 0));
        Graph { nodes, edges, divisors, names, ..Graph::default() }
    }
}
