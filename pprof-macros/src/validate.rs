//! What cannot be annotated, and what to do about it.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Attribute, Block, Signature, Visibility};

/// A function with a body, wherever it stands.
pub(crate) struct Function {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) defaultness: Option<syn::Token![default]>,
    pub(crate) signature: Signature,
    pub(crate) block: Block,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        Ok(Function {
            attributes: input.call(Attribute::parse_outer)?,
            visibility: input.parse()?,
            defaultness: input.parse()?,
            signature: input.parse()?,
            block: input.parse()?,
        })
    }
}

/// The function in `item`, if it can be annotated.
pub(crate) fn function(item: TokenStream) -> syn::Result<Function> {
    let function: Function = match syn::parse2(item.clone()) {
        Ok(function) => function,
        Err(error) => return Err(not_a_function(item).unwrap_or(error)),
    };
    if let Some(constness) = &function.signature.constness {
        return Err(syn::Error::new(
            constness.span(),
            "a const fn cannot be profiled: it may run in the compiler; remove `const`, or put \
             #[profile] on its callers",
        ));
    }
    if let Some(naked) = function.attributes.iter().find(|a| is_naked(a)) {
        return Err(syn::Error::new(
            naked.span(),
            "a naked function cannot be profiled: there is no room for a guard in it; put \
             #[profile] on its callers",
        ));
    }
    Ok(function)
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
    let message = "#[profile] goes on a function or method";
    Some(syn::Error::new(first_word(&item), message))
}

/// The token that tells what an item is.
fn first_word(item: &syn::Item) -> proc_macro2::Span {
    match item {
        syn::Item::Struct(i) => i.struct_token.span(),
        syn::Item::Enum(i) => i.enum_token.span(),
        syn::Item::Impl(i) => i.impl_token.span(),
        syn::Item::Trait(i) => i.trait_token.span(),
        syn::Item::Mod(i) => i.mod_token.span(),
        other => other
            .to_token_stream()
            .into_iter()
            .next()
            .map_or_else(proc_macro2::Span::call_site, |token| token.span()),
    }
}
