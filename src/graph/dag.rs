//! Nodes and arrows into an order, or into the cycle that prevents one.
//!
//! **Invariant:** the same nodes and edges give the same order and the same cycle, in whichever
//! order they were added: nodes and edges are visited sorted.

use petgraph::{
    algo::tarjan_scc,
    graph::{DiGraph, NodeIndex},
    visit::{Dfs, EdgeRef as _, Reversed},
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque},
    fmt,
};

/// A directed graph without cycles; an edge goes from a node to what it depends on.
#[derive(Clone, Debug)]
pub struct Dag<N> {
    graph: DiGraph<N, ()>,
    index: BTreeMap<N, NodeIndex>,
}

/// Nodes that depend on themselves in a circle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cycle<N, E> {
    /// Each node with the edge that leads to the next; the last one leads back to the first.
    pub steps: Vec<(N, E)>,
}

impl<N: Ord + Clone, E: Clone> Cycle<N, E> {
    /// The nodes in order, the first one again at the end.
    pub fn path(&self) -> Vec<&N> {
        let nodes = self.steps.iter().map(|(node, _)| node);
        nodes
            .chain(self.steps.first().map(|(node, _)| node))
            .collect()
    }
}

/// How many nodes of a cycle are printed: those beyond it are left out in the middle.
const PRINTED_LIMIT: usize = 20;

impl<N: fmt::Display, E> fmt::Display for Cycle<N, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left_out = self.steps.len().saturating_sub(PRINTED_LIMIT);
        let (first, rest) = self.steps.split_at(self.steps.len().min(PRINTED_LIMIT - 1));
        for (node, _) in first {
            write!(f, "{node} → ")?;
        }
        if left_out > 0 {
            write!(f, "({left_out} more) → ")?;
        }
        for (node, _) in &rest[left_out..] {
            write!(f, "{node} → ")?;
        }
        self.steps.first().map_or(Ok(()), |(first, _)| first.fmt(f))
    }
}

impl<N: Ord + Clone> Dag<N> {
    /// Makes a graph of `nodes` and of `edges` from a node to what it depends on, or finds a cycle.
    ///
    /// Nodes that only edges mention are added. Each edge carries what a cycle through it should
    /// tell, such as the place where it is written.
    pub fn new<E: Clone>(
        nodes: impl IntoIterator<Item = N>,
        edges: impl IntoIterator<Item = (N, N, E)>,
    ) -> Result<Self, Cycle<N, E>> {
        let mut arrows: BTreeMap<(N, N), E> = BTreeMap::new();
        for (from, to, edge) in edges {
            arrows.entry((from, to)).or_insert(edge);
        }
        let mut all: BTreeSet<N> = nodes.into_iter().collect();
        all.extend(
            arrows
                .keys()
                .flat_map(|(from, to)| [from.clone(), to.clone()]),
        );
        let mut graph = DiGraph::new();
        let index: BTreeMap<N, NodeIndex> = all
            .into_iter()
            .map(|node| (node.clone(), graph.add_node(node)))
            .collect();
        for (from, to) in arrows.keys() {
            graph.add_edge(index[from], index[to], ());
        }
        match cycle_of(&graph) {
            None => Ok(Self { graph, index }),
            Some(nodes) => Err(with_edges(&nodes, &arrows)),
        }
    }

    /// All nodes, each after everything that it depends on; among those that could come next, the
    /// smallest comes first.
    pub fn order(&self) -> Vec<&N> {
        let mut waiting: BTreeMap<NodeIndex, usize> = BTreeMap::new();
        let mut ready = BinaryHeap::new();
        for node in self.graph.node_indices() {
            match self.graph.neighbors(node).count() {
                0 => ready.push(Reverse((&self.graph[node], node))),
                count => drop(waiting.insert(node, count)),
            }
        }
        let mut order = Vec::with_capacity(self.graph.node_count());
        while let Some(Reverse((name, node))) = ready.pop() {
            order.push(name);
            for edge in self.graph.edges_directed(node, petgraph::Incoming) {
                let dependent = edge.source();
                let Some(count) = waiting.get_mut(&dependent) else {
                    continue;
                };
                *count -= 1;
                if *count == 0 {
                    ready.push(Reverse((&self.graph[dependent], dependent)));
                }
            }
        }
        order
    }

    /// What `node` depends on directly, sorted.
    pub fn dependencies(&self, node: &N) -> BTreeSet<&N> {
        self.neighbours(node, petgraph::Outgoing)
    }

    /// What depends on `node` directly, sorted.
    pub fn dependents(&self, node: &N) -> BTreeSet<&N> {
        self.neighbours(node, petgraph::Incoming)
    }

    /// `nodes` and everything that they depend on, sorted.
    pub fn with_dependencies<'a>(
        &'a self,
        nodes: impl IntoIterator<Item = &'a N>,
    ) -> BTreeSet<&'a N> {
        let mut found = BTreeSet::new();
        for start in nodes.into_iter().filter_map(|node| self.index.get(node)) {
            let mut walk = Dfs::new(&self.graph, *start);
            while let Some(node) = walk.next(&self.graph) {
                found.insert(&self.graph[node]);
            }
        }
        found
    }

    /// `nodes` and everything that depends on them, sorted.
    pub fn with_dependents<'a>(
        &'a self,
        nodes: impl IntoIterator<Item = &'a N>,
    ) -> BTreeSet<&'a N> {
        let mut found = BTreeSet::new();
        let reversed = Reversed(&self.graph);
        for start in nodes.into_iter().filter_map(|node| self.index.get(node)) {
            let mut walk = Dfs::new(reversed, *start);
            while let Some(node) = walk.next(reversed) {
                found.insert(&self.graph[node]);
            }
        }
        found
    }

    fn neighbours(&self, node: &N, direction: petgraph::Direction) -> BTreeSet<&N> {
        let Some(index) = self.index.get(node) else {
            return BTreeSet::new();
        };
        self.graph
            .neighbors_directed(*index, direction)
            .map(|other| &self.graph[other])
            .collect()
    }
}

/// Finds a shortest cycle through the smallest node that is on one.
fn cycle_of<N: Ord + Clone>(graph: &DiGraph<N, ()>) -> Option<Vec<N>> {
    let on_cycle = |component: &Vec<NodeIndex>| {
        component.len() > 1
            || component
                .iter()
                .any(|node| graph.contains_edge(*node, *node))
    };
    let component = tarjan_scc(graph)
        .into_iter()
        .filter(on_cycle)
        .min_by_key(|component| smallest(component))?;
    let start = smallest(&component)?;
    let mut came_from: BTreeMap<NodeIndex, NodeIndex> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        let mut next: Vec<NodeIndex> = graph.neighbors(node).collect();
        next.sort_unstable();
        if next.contains(&start) {
            return Some(walked(graph, &came_from, node));
        }
        for other in next {
            if component.contains(&other) && !came_from.contains_key(&other) {
                came_from.insert(other, node);
                queue.push_back(other);
            }
        }
    }
    None
}

fn smallest(component: &[NodeIndex]) -> Option<NodeIndex> {
    component.iter().min().copied()
}

fn walked<N: Clone>(
    graph: &DiGraph<N, ()>,
    came_from: &BTreeMap<NodeIndex, NodeIndex>,
    last: NodeIndex,
) -> Vec<N> {
    let mut path: Vec<NodeIndex> =
        std::iter::successors(Some(last), |node| came_from.get(node).copied()).collect();
    path.reverse();
    path.into_iter().map(|node| graph[node].clone()).collect()
}

fn with_edges<N: Ord + Clone, E: Clone>(nodes: &[N], arrows: &BTreeMap<(N, N), E>) -> Cycle<N, E> {
    let next = nodes.iter().cycle().skip(1);
    let step = |(from, to): (&N, &N)| {
        let edge = arrows.get(&(from.clone(), to.clone()))?;
        Some((from.clone(), edge.clone()))
    };
    Cycle {
        steps: nodes.iter().zip(next).filter_map(step).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn dag(edges: &[(u8, u8)]) -> Result<Dag<u8>, Cycle<u8, usize>> {
        Dag::new(
            [],
            edges
                .iter()
                .enumerate()
                .map(|(i, (from, to))| (*from, *to, i)),
        )
    }

    #[test]
    fn a_cycle_is_a_path_with_the_edges_that_close_it() {
        let cycle = dag(&[(9, 1), (1, 2), (2, 3), (3, 1), (3, 4)]).unwrap_err();
        assert_eq!(cycle.to_string(), "1 → 2 → 3 → 1");
        assert_eq!(cycle.steps, [(1, 1), (2, 2), (3, 3)]);
    }

    #[test]
    fn a_long_cycle_is_printed_with_its_middle_left_out() {
        let cycle = Cycle {
            steps: (0..5000).map(|node| (node, ())).collect(),
        };
        let text = cycle.to_string();
        assert!(text.starts_with("0 → 1 → 2 → "), "{text}");
        assert!(text.ends_with("18 → (4980 more) → 4999 → 0"), "{text}");
    }

    #[test]
    fn a_node_that_depends_on_itself_is_a_cycle_of_one() {
        assert_eq!(dag(&[(1, 1)]).unwrap_err().to_string(), "1 → 1");
    }

    #[test]
    fn what_is_needed_comes_first_and_ties_are_sorted() {
        let dag = dag(&[(1, 3), (2, 3), (3, 5), (0, 4)]).unwrap();
        assert_eq!(dag.order(), [&4, &0, &5, &3, &1, &2]);
    }

    #[test]
    fn selections_follow_the_edges_in_both_directions() {
        let dag = dag(&[(1, 2), (2, 3), (4, 3)]).unwrap();
        assert_eq!(dag.with_dependencies([&1]), BTreeSet::from([&1, &2, &3]));
        assert_eq!(dag.with_dependents([&3]), BTreeSet::from([&1, &2, &3, &4]));
    }

    proptest! {
        #[test]
        fn a_graph_has_an_order_or_a_cycle(edges in prop::collection::vec((0u8..8, 0u8..8), 0..20)) {
            match dag(&edges) {
                Ok(dag) => {
                    let order = dag.order();
                    let at = |node: &u8| order.iter().position(|other| *other == node);
                    for (from, to) in &edges {
                        prop_assert!(at(to) < at(from));
                    }
                }
                Err(cycle) => {
                    let path = cycle.path();
                    for pair in path.windows(2) {
                        prop_assert!(edges.contains(&(*pair[0], *pair[1])));
                    }
                    prop_assert_eq!(path.first(), path.last());
                }
            }
        }
    }
}
