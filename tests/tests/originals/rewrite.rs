//! Paths of an original become paths of ours, in text that keeps its lines.

use std::ops::Range;

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::{ItemUse, UseTree};

/// Which paths become which. An original's module of which only some items are ours is a *bridge*: a module of the generated program
/// with the same name, in which ours take the places of those.
#[derive(Clone, Debug, Default)]
pub(crate) struct Swaps {
    swaps: Vec<(Vec<String>, String)>,
    bridged: bool,
    /// Names that stable code cannot use: taken out of imports.
    unusable: Vec<String>,
}

/// The module of a generated program that has the bridges.
pub(crate) const BRIDGE: &str = "bridge";

impl Swaps {
    pub(crate) fn new(swaps: &[(&str, &str)], unusable: &[&str]) -> Swaps {
        let swaps = swaps.iter().map(|(from, to)| (segments(from), (*to).to_owned())).collect();
        let unusable = unusable.iter().map(|name| (*name).to_owned()).collect();
        Swaps { swaps, bridged: true, unusable }
    }

    /// Other names for the same things: no bridges.
    pub(crate) fn renames(names: &[(&str, &str)]) -> Swaps {
        Swaps { bridged: false, ..Swaps::new(names, &[]) }
    }

    /// How many segments of `path` are to be replaced, and by what.
    fn find(&self, path: &[String]) -> Option<(usize, &str)> {
        let longest = self.swaps.iter().filter(|(from, _)| path.starts_with(from));
        longest.max_by_key(|(from, _)| from.len()).map(|(from, to)| (from.len(), to.as_str()))
    }

    /// Whether `path` has both ours and theirs below it.
    fn is_bridge(&self, path: &[String]) -> bool {
        self.bridged
            && path.len() > 1
            && self.swaps.iter().any(|(from, _)| from.len() > path.len() && from.starts_with(path))
    }

    fn is_unusable(&self, path: &[String]) -> bool {
        path.last().is_some_and(|last| self.unusable.contains(last))
    }

    /// The bridges, as items of the generated program's root.
    pub(crate) fn bridges(&self) -> String {
        let mut names: Vec<Vec<String>> = Vec::new();
        for (from, _) in &self.swaps {
            for len in 2..from.len() {
                let name = from[..len].to_vec();
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        let mut text = String::new();
        for name in &names {
            // As `a_b`, flat, so that a bridge need not hold those below it.
            text += &format!("pub mod {} {{ pub use ::{}::*;", name.join("_"), name.join("::"));
            for (from, to) in &self.swaps {
                if from.len() == name.len() + 1 && from.starts_with(name) {
                    text += &format!(" pub use ::{to};");
                }
            }
            for below in names.iter().filter(|n| n.len() == name.len() + 1 && n.starts_with(name)) {
                let last = below.last().expect("at least two segments");
                text += &format!(" pub use super::{} as {last};", below.join("_"));
            }
            text += " }\n";
        }
        format!("pub mod {BRIDGE} {{ {text} }}\n")
    }

    /// `text` with its paths replaced, line for line.
    pub(crate) fn rewrite(&self, text: &str) -> Result<String, String> {
        let tokens: TokenStream = text.parse().map_err(|error| format!("{error}"))?;
        let mut edits = Vec::new();
        self.walk(tokens, &mut edits);
        Ok(apply(text, edits))
    }

    /// The replacement of a whole path, if it is to be replaced.
    pub(crate) fn path(&self, path: &[String]) -> Option<String> {
        if let Some((len, to)) = self.find(path) {
            return Some([&[to.to_owned()], &path[len..]].concat().join("::"));
        }
        self.is_bridge(path).then(|| format!("crate::{BRIDGE}::{}", path.join("_")))
    }

    fn walk(&self, tokens: TokenStream, edits: &mut Vec<(Range<usize>, String)>) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            match token {
                TokenTree::Ident(ident) if ident == "use" => {
                    let end = tokens[at..].iter().position(|t| is_punct(t, ';'));
                    let item = end.map(|end| &tokens[at..=at + end]);
                    // Otherwise it is `impl Trait + use<'a>`.
                    let parsed = item.and_then(|tokens| {
                        syn::parse2::<ItemUse>(tokens.iter().cloned().collect()).ok()
                    });
                    if let (Some(item), Some(parsed)) = (item, parsed) {
                        if let Some(edit) = self.import(&parsed) {
                            edits.push((range(item), edit));
                        }
                        at += item.len();
                        continue;
                    }
                    at += 1;
                }
                TokenTree::Ident(_) => at += self.expression_path(&tokens, at, edits),
                TokenTree::Group(group) => {
                    self.walk(group.stream(), edits);
                    at += 1;
                }
                _ => at += 1,
            }
        }
    }

    /// The path that begins at `at`; its length in tokens.
    fn expression_path(
        &self,
        tokens: &[TokenTree],
        at: usize,
        edits: &mut Vec<(Range<usize>, String)>,
    ) -> usize {
        let mut path = vec![tokens[at].to_string()];
        let mut ends = vec![at];
        while let [.., last] = ends[..]
            && let Some([TokenTree::Punct(a), TokenTree::Punct(b), TokenTree::Ident(next)]) =
                tokens.get(last + 1..last + 4)
            && a.as_char() == ':'
            && b.as_char() == ':'
        {
            path.push(next.to_string());
            ends.push(last + 3);
        }
        let length = ends.last().map_or(1, |last| last - at + 1);
        let mut begin = at;
        // A path that begins with `::` names a crate; one that goes on from elsewhere is none of ours.
        if at >= 2 && is_punct(&tokens[at - 1], ':') && is_punct(&tokens[at - 2], ':') {
            let goes_on = tokens[..at - 2].last().is_some_and(|before| match before {
                TokenTree::Ident(ident) => ident != "in" && ident != "return",
                before => is_punct(before, '>'),
            });
            if goes_on {
                return length;
            }
            begin = at - 2;
        }
        // A crate's name on its own is a variable's.
        if path.len() == 1 {
            return length;
        }
        if let Some((len, to)) = self.find(&path) {
            edits.push((range(&tokens[begin..=ends[len - 1]]), to.to_owned()));
        }
        length
    }

    fn import(&self, item: &ItemUse) -> Option<String> {
        let mut paths = Vec::new();
        flatten(&item.tree, &mut Vec::new(), &mut paths);
        let mut changed = false;
        let mut texts = Vec::new();
        for Import { path, rest } in paths {
            let imported = if rest == "::*" { Vec::new() } else { path.clone() };
            if self.is_unusable(&imported) {
                changed = true;
                continue;
            }
            match self.path(&path) {
                Some(to) => {
                    changed = true;
                    // A bridge has another name than what it stands for.
                    let last = path.last().expect("a path has a segment");
                    let renamed = self.is_bridge(&path) && rest.is_empty();
                    let name = if renamed { format!(" as {last}") } else { String::new() };
                    texts.push(format!("{to}{rest}{name}"));
                }
                None => texts.push(format!("{}{rest}", path.join("::"))),
            }
        }
        changed.then(|| format!("use {{{}}};", texts.join(", ")))
    }
}

/// One name that an item imports.
#[derive(Debug)]
struct Import {
    path: Vec<String>,
    /// `::*`, ` as name` or nothing.
    rest: String,
}

fn flatten(tree: &UseTree, prefix: &mut Vec<String>, into: &mut Vec<Import>) {
    let mut import = |last: Option<String>, rest: String| {
        let path = prefix.iter().cloned().chain(last).collect();
        into.push(Import { path, rest });
    };
    match tree {
        UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            flatten(&path.tree, prefix, into);
            prefix.pop();
        }
        UseTree::Name(name) if name.ident == "self" => import(None, String::new()),
        UseTree::Name(name) => import(Some(name.ident.to_string()), String::new()),
        UseTree::Rename(name) if name.ident == "self" => {
            import(None, format!(" as {}", name.rename))
        }
        UseTree::Rename(name) => {
            import(Some(name.ident.to_string()), format!(" as {}", name.rename));
        }
        UseTree::Glob(_) => import(None, "::*".to_owned()),
        UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, prefix, into)),
    }
}

/// `text` with pieces replaced, and as many lines as before.
pub(crate) fn apply(text: &str, mut edits: Vec<(Range<usize>, String)>) -> String {
    edits.sort_by_key(|(range, _)| range.start);
    let (mut result, mut at) = (String::new(), 0);
    for (range, edit) in edits {
        result += &text[at..range.start];
        result += &edit;
        let lines = |text: &str| text.matches('\n').count();
        result += &"\n".repeat(lines(&text[range.clone()]).saturating_sub(lines(&edit)));
        at = range.end;
    }
    result + &text[at..]
}

fn range(tokens: &[TokenTree]) -> Range<usize> {
    let span = |token: Option<&TokenTree>| token.map_or_else(Span::call_site, TokenTree::span);
    span(tokens.first()).byte_range().start..span(tokens.last()).byte_range().end
}

fn is_punct(token: &TokenTree, char: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == char)
}

/// Whether tokens outside braces define `fn main`.
pub(crate) fn has_main(text: &str) -> bool {
    let Ok(tokens) = text.parse::<TokenStream>() else { return false };
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    tokens.windows(2).any(|pair| match pair {
        [TokenTree::Ident(a), TokenTree::Ident(b)] => a == "fn" && b == "main",
        _ => false,
    })
}

/// Every identifier in `text`, in groups too.
pub(crate) fn identifiers(tokens: TokenStream, into: &mut Vec<String>) {
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => into.push(ident.to_string()),
            TokenTree::Group(group) => identifiers(group.stream(), into),
            _ => {}
        }
    }
}

fn segments(path: &str) -> Vec<String> {
    path.split("::").map(str::to_owned).collect()
}

#[test]
fn paths_are_replaced_and_lines_kept() {
    let swaps = Swaps::new(
        &[
            ("std::sync::Mutex", "ours::sync::Mutex"),
            ("std::sync::mpsc", "ours::sync::mpsc"),
            ("std::thread", "ours::thread"),
            ("cb", "ours::cb"),
        ],
        &["Mapped"],
    );
    let rewrite = |text: &str| swaps.rewrite(text).unwrap();
    assert_eq!(rewrite("use std::sync::Arc;"), "use std::sync::Arc;");
    assert_eq!(
        rewrite("use std::{sync::{self, Arc,\n Mapped, mpsc::{self, Sender as S}}, thread};x"),
        "use {crate::bridge::std_sync as sync, std::sync::Arc, ours::sync::mpsc, \
         ours::sync::mpsc::Sender as S, ours::thread};\nx"
    );
    assert_eq!(
        rewrite("pub use std::sync::*; use cb as c; use ::cb::select;"),
        "pub use {crate::bridge::std_sync::*}; use {ours::cb as c}; use {ours::cb::select};"
    );
    assert_eq!(
        rewrite(
            "let cb = f(::std::thread::spawn::<T>(std::sync::Mutex::new(1))); cb::select! { a }"
        ),
        "let cb = f(ours::thread::spawn::<T>(ours::sync::Mutex::new(1))); ours::cb::select! { a }"
    );
    assert_eq!(rewrite("fn f() -> impl A + use<'a> {}"), "fn f() -> impl A + use<'a> {}");
}
