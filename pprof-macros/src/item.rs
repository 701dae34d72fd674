//! What the attribute stands on: a function, or a block of which every function is annotated.

use std::mem;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::spanned::Spanned;
use syn::{ImplItem, ImplItemFn, Item, ItemFn, Meta, TraitItem, TraitItemFn, Visibility};

use crate::parse::{self, Attribute, Options};
use crate::{expand, validate};

/// The item, annotated.
pub(crate) fn item(options: &Options, tokens: TokenStream) -> syn::Result<TokenStream> {
    let no_function = match syn::parse2(tokens.clone()) {
        Ok(function) => {
            validate::once(&function)?;
            let refusal = validate::refusal(&function);
            return refusal.map_or_else(|| Ok(expand::function(options, function)), Err);
        }
        Err(error) => error,
    };
    match syn::parse2(tokens.clone()) {
        Ok(mut item @ (Item::Impl(_) | Item::Trait(_) | Item::Mod(_))) => {
            block(options, &mut item)?;
            Ok(item.into_token_stream())
        }
        other => Err(validate::no_body(tokens)
            .or_else(|| other.ok().as_ref().map(validate::wrong_item))
            .unwrap_or(no_function)),
    }
}

/// Annotates what is inside of an impl, a trait or a module.
fn block(options: &Options, item: &mut Item) -> syn::Result<()> {
    if let Some(name) = &options.name {
        let message = "a name is that of one function: put #[profile(name = \"...\")] there";
        return Err(syn::Error::new(name.span(), message));
    }
    match item {
        Item::Impl(block) => each(&mut block.items, |item| match item {
            ImplItem::Fn(method) => ImplItem::Verbatim(function_inside(options, method)),
            other => other,
        }),
        Item::Trait(block) => each(&mut block.items, |item| match item {
            TraitItem::Fn(TraitItemFn { attrs, sig, default: Some(block), .. }) => {
                let vis = Visibility::Inherited;
                let method = ImplItemFn { attrs, vis, defaultness: None, sig, block };
                TraitItem::Verbatim(function_inside(options, method))
            }
            other => other,
        }),
        Item::Mod(module) => match &mut module.content {
            Some((_, items)) => each(items, |item| match item {
                Item::Fn(ItemFn { attrs, vis, sig, block }) => {
                    let function = ImplItemFn { attrs, vis, defaultness: None, sig, block: *block };
                    Item::Verbatim(function_inside(options, function))
                }
                other => block_inside(options, other),
            }),
            None => {
                let message = "what is in another file is not seen from here: put #[profile] on its functions and blocks";
                return Err(syn::Error::new(module.mod_token.span(), message));
            }
        },
        _ => {}
    }
    Ok(())
}

fn each<I>(items: &mut Vec<I>, change: impl FnMut(I) -> I) {
    *items = mem::take(items).into_iter().map(change).collect();
}

/// A function, const and naked ones as they are.
fn function_inside(outer: &Options, mut function: ImplItemFn) -> TokenStream {
    let Some(options) = options_inside(outer, &mut function.attrs) else {
        return function.into_token_stream();
    };
    match options.and_then(|options| validate::once(&function).map(|()| options)) {
        Ok(_) if validate::refusal(&function).is_some() => function.into_token_stream(),
        Ok(options) => expand::function(&options, function),
        Err(mistake) => with_error(&mistake, &function),
    }
}

/// A block, other items and modules in other files as they are.
fn block_inside(outer: &Options, mut item: Item) -> Item {
    let attributes = match &mut item {
        Item::Impl(block) => &mut block.attrs,
        Item::Trait(block) => &mut block.attrs,
        Item::Mod(block) if block.content.is_some() => &mut block.attrs,
        _ => return item,
    };
    let Some(options) = options_inside(outer, attributes) else { return item };
    match options.and_then(|options| block(&options, &mut item)) {
        Ok(()) => item,
        Err(mistake) => Item::Verbatim(with_error(&mistake, &item)),
    }
}

/// The mistake, and the item as it was, so that one mistake gives one error.
pub(crate) fn with_error(mistake: &syn::Error, item: &impl ToTokens) -> TokenStream {
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
