//! What cannot be annotated, and what to do about it.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Ident, ImplItemFn, Item, Meta, PatIdent, Signature, TraitItemFn};

use crate::future;
use crate::parse::Options;

/// Why a function cannot be annotated.
pub(crate) fn refusal(options: &Options, function: &ImplItemFn) -> Option<syn::Error> {
    if let Some(place) = options.cpu.and_then(|cpu| cpu.asked_at)
        && (function.sig.asyncness.is_some() || future::is_returned(&function.sig))
    {
        return Some(syn::Error::new(
            place,
            "the CPU time of futures is not measured: leave this out, and put it on what they call",
        ));
    }
    if let Some(unknown) = unknown_argument(options, &function.sig) {
        let message = format!(
            "there is no argument `{unknown}`: write the name of one, or `\"{unknown}\" = expression`"
        );
        return Some(syn::Error::new(unknown.span(), message));
    }
    if let Some(constness) = &function.sig.constness {
        return Some(syn::Error::new(
            constness.span(),
            "a const fn cannot be profiled: it may run in the compiler; remove `const`, or put \
             #[profile] on its callers",
        ));
    }
    let naked = function.attrs.iter().find(|a| is_naked(a))?;
    Some(syn::Error::new(
        naked.span(),
        "a naked function cannot be profiled: there is no room for a guard in it; put \
         #[profile] on its callers",
    ))
}

/// Of those that are to be labels.
fn unknown_argument<'o>(options: &'o Options, signature: &Signature) -> Option<&'o Ident> {
    struct Names(Vec<Ident>);
    impl Visit<'_> for Names {
        fn visit_pat_ident(&mut self, pattern: &PatIdent) {
            self.0.push(pattern.ident.clone());
            visit::visit_pat_ident(self, pattern);
        }
    }
    let mut names = Names(Vec::new());
    signature.inputs.iter().for_each(|input| names.visit_fn_arg(input));
    let asked_for = options.labels.iter().flatten().filter_map(|label| label.argument.as_ref());
    asked_for.into_iter().find(|name| !names.0.contains(name))
}

/// The attribute stands on an item once: one was taken from it.
pub(crate) fn once(attributes: &[Attribute]) -> syn::Result<()> {
    let message = "#[profile] stands here twice: every call would be counted twice; remove one";
    let second = attributes.iter().find(|a| is_profile(a) || is_conditional_profile(a));
    second.map_or(Ok(()), |second| Err(syn::Error::new(second.span(), message)))
}

/// Whether any is, or may be, a macro, or one that says of async functions what it does not of others, as `must_use` and `expect` do.
pub(crate) fn are_seen_by_others(attributes: &[Attribute]) -> bool {
    const PLAIN: [&str; 12] = [
        "allow",
        "cfg",
        "clippy",
        "cold",
        "deny",
        "deprecated",
        "diagnostic",
        "doc",
        "forbid",
        "inline",
        "rustfmt",
        "warn",
    ];
    attributes.iter().any(|attribute| {
        let first = attribute.path().segments.first();
        !first.is_some_and(|first| PLAIN.iter().any(|name| first.ident == name))
    })
}

/// Ours, by its own name or as the end of a path.
pub(crate) fn is_profile(attribute: &Attribute) -> bool {
    attribute.path().segments.last().is_some_and(|last| last.ident == "profile")
}

/// `#[cfg_attr(..., profile)]`.
pub(crate) fn is_conditional_profile(attribute: &Attribute) -> bool {
    let Meta::List(list) = &attribute.meta else { return false };
    list.path.is_ident("cfg_attr") && gives_profile(list.tokens.clone())
}

/// What stands behind the condition, and behind that of another such attribute there.
fn gives_profile(arguments: TokenStream) -> bool {
    let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(p) if p.as_char() == ',');
    let mut given = arguments.into_iter().skip_while(|token| !is_comma(token)).peekable();
    while let Some(token) = given.next() {
        match (token, given.peek()) {
            (TokenTree::Ident(word), _) if word == "profile" => return true,
            (TokenTree::Ident(word), Some(TokenTree::Group(group)))
                if word == "cfg_attr" && gives_profile(group.stream()) =>
            {
                return true;
            }
            _ => {}
        }
    }
    false
}

fn is_naked(attribute: &Attribute) -> bool {
    let syn::Meta::List(list) = &attribute.meta else {
        return attribute.path().is_ident("naked");
    };
    list.path.is_ident("unsafe") && list.tokens.to_string() == "naked"
}

/// What is wrong with a method that a trait only asks for; `None` if the item is none.
pub(crate) fn no_body(item: TokenStream) -> Option<syn::Error> {
    let method: TraitItemFn = syn::parse2(item).ok()?;
    let message = "there is no body to profile here: put #[profile] on the implementations";
    method.default.is_none().then(|| syn::Error::new(method.sig.span(), message))
}

pub(crate) fn wrong_item(item: &Item) -> syn::Error {
    let message = "#[profile] goes on a function, or on an impl, trait or mod block";
    syn::Error::new(first_word(item), message)
}

/// The token that tells what an item is.
fn first_word(item: &Item) -> Span {
    match item {
        Item::Struct(i) => i.struct_token.span(),
        Item::Enum(i) => i.enum_token.span(),
        other => {
            let first = other.to_token_stream().into_iter().next();
            first.map_or_else(Span::call_site, |token| token.span())
        }
    }
}
