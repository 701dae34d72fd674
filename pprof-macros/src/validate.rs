//! What cannot be annotated, and what to do about it.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::{Attribute, ImplItemFn, Item, TraitItemFn};

/// Why a function cannot be annotated.
pub(crate) fn refusal(function: &ImplItemFn) -> Option<syn::Error> {
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

/// The attribute stands on it once: this one was taken from it.
pub(crate) fn once(function: &ImplItemFn) -> syn::Result<()> {
    let message = "#[profile] stands here twice: every call would be counted twice; remove one";
    let second = function.attrs.iter().find(|a| is_profile(a));
    second.map_or(Ok(()), |second| Err(syn::Error::new(second.span(), message)))
}

/// Ours, by its own name or as a path that ends in it and begins at the runtime.
pub(crate) fn is_profile(attribute: &Attribute) -> bool {
    let path = attribute.path();
    let Some(last) = path.segments.last() else { return false };
    let first_is_runtime = path.segments.first().is_some_and(|s| s.ident == "pprof_runtime");
    last.ident == "profile" && (path.segments.len() == 1 || first_is_runtime)
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
