//! What cannot be annotated, and what to do about it.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Attribute, Block, Signature, Stmt, Visibility, token};

/// A function with a body, wherever it stands.
pub(crate) struct Function {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) defaultness: Option<syn::Token![default]>,
    pub(crate) signature: Signature,
    pub(crate) brace: token::Brace,
    pub(crate) statements: Vec<Stmt>,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        let defaultness = input.parse()?;
        let signature = input.parse()?;
        let body;
        let brace = syn::braced!(body in input);
        // The body gets statements in front, where an inner attribute may not follow: it says the same from outside.
        for mut attribute in body.call(Attribute::parse_inner)? {
            attribute.style = syn::AttrStyle::Outer;
            attributes.push(attribute);
        }
        let statements = body.call(Block::parse_within)?;
        Ok(Function { attributes, visibility, defaultness, signature, brace, statements })
    }
}

impl Function {
    /// Why it cannot be annotated.
    pub(crate) fn refusal(&self) -> Option<syn::Error> {
        if let Some(constness) = &self.signature.constness {
            return Some(syn::Error::new(
                constness.span(),
                "a const fn cannot be profiled: it may run in the compiler; remove `const`, or put \
                 #[profile] on its callers",
            ));
        }
        let naked = self.attributes.iter().find(|a| is_naked(a))?;
        Some(syn::Error::new(
            naked.span(),
            "a naked function cannot be profiled: there is no room for a guard in it; put \
             #[profile] on its callers",
        ))
    }
}

/// The function in `item`.
pub(crate) fn function(item: TokenStream) -> syn::Result<Function> {
    let function: Function = match syn::parse2(item.clone()) {
        Ok(function) => function,
        Err(error) => return Err(not_a_function(item).unwrap_or(error)),
    };
    if let Some(second) = function.attributes.iter().find(|a| is_profile(a)) {
        return Err(syn::Error::new(
            second.span(),
            "#[profile] stands here twice: every call would be counted twice; remove one",
        ));
    }
    Ok(function)
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

/// Why an item that is no function with a body cannot be annotated; `None` if it is not even an item.
fn not_a_function(item: TokenStream) -> Option<syn::Error> {
    if let Ok(method) = syn::parse2::<syn::TraitItemFn>(item.clone())
        && method.default.is_none()
    {
        let message = "there is no body to profile here: put #[profile] on the implementations";
        return Some(syn::Error::new(method.sig.span(), message));
    }
    let item: syn::Item = syn::parse2(item).ok()?;
    let message = "#[profile] goes on a function, or on an impl, trait or mod block";
    Some(syn::Error::new(first_word(&item), message))
}

/// The token that tells what an item is.
fn first_word(item: &syn::Item) -> proc_macro2::Span {
    match item {
        syn::Item::Struct(i) => i.struct_token.span(),
        syn::Item::Enum(i) => i.enum_token.span(),
        other => other
            .to_token_stream()
            .into_iter()
            .next()
            .map_or_else(proc_macro2::Span::call_site, |token| token.span()),
    }
}
