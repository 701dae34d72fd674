//! Arguments of async functions, whose bodies go into an async block.
//!
//! The compiler takes them into a function's future in their order, and drops them in the opposite one. A block takes what it uses, or the
//! used part of it, in the order of use, drops it in that order, and leaves the rest outside. So it begins by naming them from the last to the
//! first. Where one of them is a pattern, or not used, it binds all anew, as the compiler does, at the price of one more place for each in
//! the future. So does a block that is the function's whole future, which is dropped before its first poll as the compiler's is.

use std::collections::HashSet;
use std::mem;

use proc_macro2::{Ident, Literal, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::visit_mut::{self, VisitMut};
use syn::{Attribute, FieldPat, FnArg, Pat, PatIdent, PatOr, PatType, Signature, Stmt};

use crate::parse::Label;

/// The statements that the block of `body` begins with. Patterns that take an argument apart are moved there; but not if there are `labels`, as
/// those use what is bound: what they bind to nothing is then dropped last.
pub(crate) fn moved_inside(
    signature: &mut Signature,
    body: &[Stmt],
    labels: Option<&[Label]>,
) -> TokenStream {
    let receiver = receiver(signature);
    let typed: Vec<&mut PatType> = typed(signature).collect();
    let in_labels =
        labels.map(|labels| Words::of(labels.iter().map(|label| label.value.to_token_stream())));
    if let Some(names) = used_names(&typed, body, in_labels.as_ref()) {
        let named = typed.iter().zip(names).rev().map(|(argument, name)| {
            let cfg = conditions(&argument.attrs);
            quote! {
                #[allow(clippy::used_underscore_binding)]
                #(#cfg)*
                let _ = &#name;
            }
        });
        return named.chain(receiver).collect();
    }
    let bound = typed.into_iter().enumerate();
    let bound = bound.map(|(index, argument)| bound_anew(argument, index, in_labels.as_ref()));
    receiver.into_iter().chain(bound).collect()
}

/// The statements that the block of a body begins with if it is all that the function makes.
pub(crate) fn bound_inside(signature: &mut Signature) -> TokenStream {
    let receiver = receiver(signature);
    let bound = typed(signature).enumerate();
    let bound = bound.map(|(index, argument)| bound_anew(argument, index, None));
    receiver.into_iter().chain(bound).collect()
}

/// The whole of `self`; in the user's word, as another `self` is not that one.
fn receiver(signature: &Signature) -> Option<TokenStream> {
    let this = signature.receiver()?.self_token;
    Some(quote!(let _ = &#this;))
}

fn typed(signature: &mut Signature) -> impl Iterator<Item = &mut PatType> {
    signature.inputs.iter_mut().filter_map(|input| match input {
        FnArg::Typed(argument) => Some(argument),
        FnArg::Receiver(_) => None,
    })
}

/// The names of all arguments, if they are that and no patterns, and used: else the compiler has something to say of what is bound anew.
fn used_names<'a>(
    typed: &'a [&mut PatType],
    body: &[Stmt],
    in_labels: Option<&Words>,
) -> Option<Vec<&'a Ident>> {
    let names: Vec<&Ident> =
        typed.iter().map(|argument| name(&argument.pat)).collect::<Option<_>>()?;
    let is_meant = |name: &&Ident| name.to_string().starts_with('_');
    if names.iter().all(is_meant) {
        return Some(names);
    }
    let words = Words::of(body.iter().map(ToTokens::to_token_stream));
    let is_used = |name: &&Ident| {
        is_meant(name) || words.mention(name) || in_labels.is_some_and(|words| words.mention(name))
    };
    names.iter().all(is_used).then_some(names)
}

/// Of a pattern that is a name and nothing else.
fn name(pattern: &Pat) -> Option<&Ident> {
    match pattern {
        Pat::Ident(PatIdent { ident, by_ref: None, subpat: None, .. }) => Some(ident),
        _ => None,
    }
}

fn bound_anew(argument: &mut PatType, index: usize, in_labels: Option<&Words>) -> TokenStream {
    let all = argument.attrs.len();
    let attributes = moved_attributes(argument);
    // What is allowed for a name is allowed where it is bound, and nowhere else.
    let is_plain = name(&argument.pat).is_some() && argument.attrs.len() == all;
    let allowed = quote! {
        #[allow(
            clippy::used_underscore_binding,
            clippy::no_effect_underscore_binding,
            clippy::shadow_same
        )]
        #(#attributes)*
    };
    if is_plain || in_labels.is_some() && !matches!(*argument.pat, Pat::Wild(_)) {
        let mut names = Names(Vec::new());
        names.visit_pat_mut(&mut argument.pat);
        let bound = names.0.into_iter().map(|PatIdent { attrs, mutability, ident, .. }| {
            let is_used = in_labels.is_some_and(|words| words.mention(&ident));
            let used = is_used.then(|| quote!(#[allow(unused_variables)]));
            quote! {
                #allowed
                #used
                #(#attrs)*
                let #mutability #ident = #ident;
            }
        });
        return bound.collect();
    }
    let name = Ident::new(&format!("__pprof_argument_{index}"), Span::mixed_site());
    let pattern = mem::replace(&mut *argument.pat, syn::parse_quote!(#name));
    let cfg = conditions(&argument.attrs);
    let apart = (!matches!(pattern, Pat::Wild(_))).then(|| {
        quote! {
            #allowed
            let #pattern = #name;
        }
    });
    quote! {
        #(#cfg)*
        let #name = #name;
        #apart
    }
}

/// Those that hold for what is bound; what says whether the argument is there at all holds for both.
fn moved_attributes(argument: &mut PatType) -> Vec<Attribute> {
    const MOVED: [&str; 6] = ["allow", "expect", "warn", "deny", "forbid", "cfg_attr"];
    let is_moved = |attribute: &Attribute| MOVED.iter().any(|name| attribute.path().is_ident(name));
    let (mut moved, kept): (Vec<_>, Vec<_>) = argument.attrs.drain(..).partition(is_moved);
    argument.attrs = kept;
    moved.extend(conditions(&argument.attrs).cloned());
    moved
}

/// What says whether an argument, or a field, is there at all.
fn conditions(attributes: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("cfg"))
}

/// What a pattern binds, in its order. What is bound anew need not be mutable before.
struct Names(Vec<PatIdent>);

impl VisitMut for Names {
    /// What says whether a field is there holds for what it binds.
    fn visit_field_pat_mut(&mut self, field: &mut FieldPat) {
        let first = self.0.len();
        visit_mut::visit_field_pat_mut(self, field);
        for name in self.0.iter_mut().skip(first) {
            name.attrs.extend(conditions(&field.attrs).cloned());
        }
    }

    /// All cases of a pattern bind the same. What is not in each of them is a variant.
    fn visit_pat_or_mut(&mut self, pattern: &mut PatOr) {
        let names_of = |case: &mut Pat| {
            let mut names = Names(Vec::new());
            names.visit_pat_mut(case);
            names.0
        };
        let mut cases = pattern.cases.iter_mut().map(names_of);
        let mut bound = cases.next().unwrap_or_default();
        for others in cases {
            bound.retain(|name| others.iter().any(|other| other.ident == name.ident));
        }
        self.0.append(&mut bound);
    }

    fn visit_pat_ident_mut(&mut self, pattern: &mut PatIdent) {
        self.0.push(PatIdent { subpat: None, ..pattern.clone() });
        if pattern.by_ref.is_none() {
            pattern.mutability = None;
        } else if let Some(last) = self.0.last_mut() {
            last.mutability = None;
        }
        visit_mut::visit_pat_ident_mut(self, pattern);
    }
}

/// The words of a body.
struct Words {
    idents: HashSet<String>,
    /// May be formats, in which names are arguments.
    literals: Vec<String>,
}

impl Words {
    fn of(parts: impl Iterator<Item = TokenStream>) -> Words {
        let mut words = Words { idents: HashSet::new(), literals: Vec::new() };
        parts.for_each(|tokens| words.add(tokens));
        words
    }

    fn add(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => _ = self.idents.insert(ident.to_string()),
                TokenTree::Group(group) => self.add(group.stream()),
                TokenTree::Literal(literal) => self.add_literal(&literal),
                TokenTree::Punct(_) => {}
            }
        }
    }

    fn add_literal(&mut self, literal: &Literal) {
        let text = literal.to_string();
        if text.contains('{') {
            self.literals.push(text);
        }
    }

    fn mention(&self, name: &Ident) -> bool {
        let name = name.to_string();
        self.idents.contains(&name)
            || self.literals.iter().any(|literal| literal.contains(name.trim_start_matches("r#")))
    }
}
