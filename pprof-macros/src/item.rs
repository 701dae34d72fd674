//! What the attribute stands on: a function, or a block of which every function is annotated.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::spanned::Spanned;
use syn::{ImplItem, Item, ItemImpl, ItemMod, ItemTrait, Meta, TraitItem};

use crate::parse::{self, Attribute, Options};
use crate::{expand, validate};

/// The item, annotated.
pub(crate) fn item(options: &Options, tokens: TokenStream) -> syn::Result<TokenStream> {
    match syn::parse2(tokens.clone()) {
        Ok(Item::Impl(mut block)) => {
            no_name(options)?;
            impl_block(options, &mut block);
            Ok(block.into_token_stream())
        }
        Ok(Item::Trait(mut block)) => {
            no_name(options)?;
            trait_block(options, &mut block);
            Ok(block.into_token_stream())
        }
        Ok(Item::Mod(mut block)) => {
            no_name(options)?;
            if block.content.is_none() {
                let message = "what is in another file is not seen from here: put #[profile] on its functions and blocks";
                return Err(syn::Error::new(block.mod_token.span(), message));
            }
            module(options, &mut block);
            Ok(block.into_token_stream())
        }
        _ => {
            let function = validate::function(tokens)?;
            function.refusal().map_or_else(|| Ok(expand::function(options, function)), Err)
        }
    }
}

fn no_name(options: &Options) -> syn::Result<()> {
    let message = "a name is that of one function: put #[profile(name = \"...\")] there";
    options.name.as_ref().map_or(Ok(()), |name| Err(syn::Error::new(name.span(), message)))
}

fn impl_block(options: &Options, block: &mut ItemImpl) {
    for item in &mut block.items {
        if let ImplItem::Fn(method) = item
            && let Some(options) = options_inside(options, &mut method.attrs)
        {
            *item = ImplItem::Verbatim(function_inside(options, method.to_token_stream()));
        }
    }
}

fn trait_block(options: &Options, block: &mut ItemTrait) {
    for item in &mut block.items {
        if let TraitItem::Fn(method) = item
            && method.default.is_some()
            && let Some(options) = options_inside(options, &mut method.attrs)
        {
            *item = TraitItem::Verbatim(function_inside(options, method.to_token_stream()));
        }
    }
}

fn module(options: &Options, block: &mut ItemMod) {
    for item in block.content.iter_mut().flat_map(|(_, items)| items) {
        let attributes = match item {
            Item::Fn(function) => &mut function.attrs,
            Item::Impl(block) => &mut block.attrs,
            Item::Trait(block) => &mut block.attrs,
            Item::Mod(block) if block.content.is_some() => &mut block.attrs,
            _ => continue,
        };
        let Some(options) = options_inside(options, attributes) else { continue };
        *item = match item {
            Item::Fn(function) => {
                Item::Verbatim(function_inside(options, function.to_token_stream()))
            }
            ref block => Item::Verbatim(block_inside(options, block)),
        };
    }
}

/// A function, const and naked ones as they are.
fn function_inside(options: syn::Result<Options>, tokens: TokenStream) -> TokenStream {
    let expanded = options.and_then(|options| {
        let function = validate::function(tokens.clone())?;
        let can_be = function.refusal().is_none();
        Ok(can_be.then(|| expand::function(&options, function)))
    });
    match expanded {
        Ok(expanded) => expanded.unwrap_or(tokens),
        Err(mistake) => with(&mistake, &tokens),
    }
}

fn block_inside(options: syn::Result<Options>, block: &Item) -> TokenStream {
    let tokens = block.to_token_stream();
    options
        .and_then(|options| item(&options, tokens.clone()))
        .unwrap_or_else(|mistake| with(&mistake, &tokens))
}

/// The mistake, and the item as it was, so that one mistake gives one error.
pub(crate) fn with(mistake: &syn::Error, item: &TokenStream) -> TokenStream {
    let mistake = mistake.to_compile_error();
    quote!(#mistake #item)
}

/// What holds for an item inside of an annotated block, from which its own attribute is taken; `None` if it is to be left alone.
fn options_inside(
    outer: &Options,
    attributes: &mut Vec<syn::Attribute>,
) -> Option<syn::Result<Options>> {
    // Whether it applies is not known yet; if it does, it does its own work.
    if attributes.iter().any(is_conditional_profile) {
        return None;
    }
    let own = attributes.iter().position(validate::is_profile).map(|at| attributes.remove(at));
    let own = match own.map(|attribute| options_of(attribute).and_then(parse::attribute)) {
        None => Options { name: None, runtime: None },
        Some(Ok(Attribute::Profile(options))) => options,
        Some(Ok(Attribute::Skip)) => return None,
        Some(Err(mistake)) => return Some(Err(mistake)),
    };
    let runtime = own.runtime.or_else(|| outer.runtime.clone());
    Some(Ok(Options { runtime, ..own }))
}

fn options_of(attribute: syn::Attribute) -> syn::Result<TokenStream> {
    match attribute.meta {
        Meta::List(list) => Ok(list.tokens),
        Meta::Path(_) => Ok(TokenStream::new()),
        Meta::NameValue(pair) => Err(syn::Error::new(
            pair.eq_token.span(),
            "options go in parentheses: `#[profile(...)]`",
        )),
    }
}

/// `#[cfg_attr(..., profile)]`.
fn is_conditional_profile(attribute: &syn::Attribute) -> bool {
    let Meta::List(list) = &attribute.meta else { return false };
    let mut words = list.tokens.clone().into_iter();
    list.path.is_ident("cfg_attr")
        && words.any(|word| matches!(word, proc_macro2::TokenTree::Ident(w) if w == "profile"))
}
