//! A graph from samples.

use std::collections::HashMap;

use super::edges::{Edges, Kind, Weight};
use super::sites::Sites;
use super::tags::{Names, SampleTags, TagTable};
use super::{Graph, Node, NodeId};
use crate::filter::Units;
use crate::measurement::scaled_label;
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

/// The graph of a profile, of those nodes that `kept` names if it is given: others are left out, and edges go over them.
#[must_use]
pub fn build(
    profile: &Profile,
    sites: &Sites,
    units: &Units,
    options: &Options,
    kept: Option<&[bool]>,
) -> Graph {
    let unit = options.tag_unit.as_deref();
    let bytes = profile.texts.find("bytes").map_or("", |key| units.of(key));
    let format = |number: i64, from: &str| scaled_label(number, from, unit.unwrap_or("auto"));
    let mut builder = Builder {
        profile,
        options,
        nodes: Vec::new(),
        edges: Edges::default(),
        tags: unit.map(|_| TagTable::new(&profile.texts, bytes, &format)),
    };
    if options.is_tree {
        builder.tree(sites);
    } else {
        builder.graph(sites, kept);
    }
    let Builder { mut nodes, edges, tags, .. } = builder;
    let edges = edges.finish(&mut nodes);
    let names = tags.map_or_else(Names::default, |tags| tags.finish(&mut nodes));
    let is_shown = |node: &Node| {
        let is_negative = node.flat < 0 || node.flat == 0 && node.cum < 0;
        (node.cum != 0 || node.flat != 0) && !(options.drop_negative && is_negative)
    };
    let shown = (0..nodes.len() as NodeId).filter(|id| is_shown(&nodes[*id as usize])).collect();
    Graph { nodes, edges, shown, names }
}

struct Builder<'p> {
    profile: &'p Profile,
    options: &'p Options,
    nodes: Vec<Node>,
    edges: Edges,
    tags: Option<TagTable<'p>>,
}

const NOBODY: NodeId = NodeId::MAX;

/// What a node has with its callees.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    /// The last sample that it was seen in: each counts once.
    seen: u32,
    cum: i64,
}

impl Builder<'_> {
    /// Value and divisor; nothing if they say nothing.
    fn weight(&self, sample: Sample<'_>) -> Option<(i64, i64)> {
        let value = sample.values[self.options.value];
        let divisor = self.options.divisor.map_or(0, |index| sample.values[index]);
        (value != 0 || divisor != 0).then_some((value, divisor))
    }

    fn tags_of(&mut self, sample: Sample<'_>) -> Option<SampleTags> {
        let table = self.tags.as_mut()?;
        (!sample.labels.is_empty()).then(|| table.of(sample.labels))
    }

    fn add(
        &mut self,
        id: NodeId,
        tags: Option<&SampleTags>,
        is_flat: bool,
        (value, divisor): (i64, i64),
    ) {
        let node = &mut self.nodes[id as usize];
        let (sum, div) = if is_flat {
            (&mut node.flat, &mut node.flat_div)
        } else {
            (&mut node.cum, &mut node.cum_div)
        };
        *sum = sum.wrapping_add(value);
        *div = div.wrapping_add(divisor);
        if let Some(tags) = tags {
            self.add_tags(id, tags, is_flat, (value, divisor));
        }
    }

    fn add_tags(&mut self, id: NodeId, tags: &SampleTags, is_flat: bool, weight: (i64, i64)) {
        if let Some(table) = &mut self.tags {
            table.add(id, &mut self.nodes[id as usize].tags, tags, is_flat, weight);
        }
    }

    fn graph(&mut self, sites: &Sites, kept: Option<&[bool]>) {
        let node = |(info, function): (&_, &u32)| Node {
            info: *info,
            function: *function,
            ..Node::default()
        };
        self.nodes = sites.infos.iter().zip(&sites.functions).map(node).collect();
        // Of nodes whose edges are of use, from and to.
        let count = self.nodes.len();
        let (of_callers, of_callees) = match &self.options.edges {
            EdgesOf::Nothing => (vec![false; count], vec![false; count]),
            EdgesOf::AllNodes => (vec![true; count], vec![true; count]),
            EdgesOf::InlinedNodes => (vec![false; count], sites.are_inlined()),
            EdgesOf::Nodes(nodes) => (nodes.clone(), nodes.clone()),
        };
        let is_kept = |node: NodeId| kept.is_none_or(|kept| kept[node as usize]);
        // What every frame changes, and no more: caches hold it.
        let mut sums = vec![Sum::default(); count];
        if let Some(table) = &mut self.tags {
            table.expect_nodes(count);
        }
        let profile = self.profile;
        for (number, sample) in (1..).zip(profile.samples.iter()) {
            let Some(weight) = self.weight(sample) else { continue };
            let tags = self.tags_of(sample);
            self.edges.start(Weight { sample: number, value: weight.0, divisor: weight.1 });
            let (mut parent, mut is_residual) = (NOBODY, false);
            for location in sample.stack.iter().rev() {
                let nodes = sites.of(*location);
                for (inner, &node) in nodes.iter().enumerate().rev() {
                    if !is_kept(node) {
                        is_residual = true;
                        continue;
                    }
                    let sum = &mut sums[node as usize];
                    if sum.seen != number {
                        sum.seen = number;
                        sum.cum = sum.cum.wrapping_add(weight.0);
                        if weight.1 != 0 {
                            let div = &mut self.nodes[node as usize].cum_div;
                            *div = div.wrapping_add(weight.1);
                        }
                        if let Some(tags) = &tags {
                            self.add_tags(node, tags, false, weight);
                        }
                    }
                    if parent != NOBODY
                        && parent != node
                        && (of_callees[node as usize] || of_callers[parent as usize])
                    {
                        let is_inline = inner + 1 != nodes.len();
                        self.edges.add(parent, node, Kind { is_residual, is_inline });
                    }
                    (parent, is_residual) = (node, false);
                }
            }
            if parent != NOBODY && !is_residual {
                self.add(parent, tags.as_ref(), true, weight);
            }
        }
        for (node, sum) in self.nodes.iter_mut().zip(sums) {
            node.cum = sum.cum;
        }
    }

    fn tree(&mut self, sites: &Sites) {
        let mut known: HashMap<(NodeId, u32), NodeId, foldhash::fast::RandomState> =
            HashMap::default();
        // Functions of different contexts are not the same.
        let mut functions: HashMap<(NodeId, u32), u32> = HashMap::new();
        let profile = self.profile;
        for (number, sample) in (1..).zip(profile.samples.iter()) {
            let Some(weight) = self.weight(sample) else { continue };
            let tags = self.tags_of(sample);
            self.edges.start(Weight { sample: number, value: weight.0, divisor: weight.1 });
            let mut parent = NOBODY;
            for location in sample.stack.iter().rev() {
                let infos = sites.of(*location);
                for (inner, &info) in infos.iter().enumerate().rev() {
                    let next = self.nodes.len() as NodeId;
                    let node = *known.entry((parent, info)).or_insert(next);
                    if node == next {
                        let function = sites.functions[info as usize];
                        let function = *functions.entry((parent, function)).or_insert(next);
                        let info = sites.infos[info as usize];
                        self.nodes.push(Node { info, function, ..Node::default() });
                    }
                    self.add(node, tags.as_ref(), false, weight);
                    if parent != NOBODY {
                        let is_inline = inner + 1 != infos.len();
                        self.edges.add(parent, node, Kind { is_residual: false, is_inline });
                    }
                    parent = node;
                }
            }
            if parent != NOBODY {
                self.add(parent, tags.as_ref(), true, weight);
            }
        }
    }
}
