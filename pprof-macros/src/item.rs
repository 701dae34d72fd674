//! What the attribute stands on: a function, or a block of which every function is annotated.

use std::mem;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::spanned::Spanned;
use syn::{ImplItem, ImplItemFn, Item, ItemFn, Meta, TraitItem, TraitItemFn, Visibility};

use crate::function::Function;
use crate::parse::{self, Attribute, Options};
use crate::{expand, validate};

/// The item, annotated.
pub(crate) fn item(options: &Options, tokens: TokenStream) -> syn::Result<TokenStream> {
    let no_function = match syn::parse2(tokens.clone()) {
        Ok(Function(function)) => {
            validate::once(&function.attrs)?;
            let refusal = validate::refusal(options, &function);
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
    if let Some(label) = options.labels.iter().flatten().next() {
        let message =
            "labels are made of one function's arguments: put #[profile(labels(...))] there";
        return Err(syn::Error::new(label.key.span(), message));
    }
    let mut options = options.clone();
    if let Some(attributes) = attributes(item) {
        validate::once(attributes)?;
        options.is_seen_by_others |= validate::are_seen_by_others(attributes);
    }
    let options = &options;
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

/// A function; one that cannot be annotated as it is, unless it asks for that.
fn function_inside(outer: &Options, mut function: ImplItemFn) -> TokenStream {
    let inside = match inside(outer, &mut function.attrs) {
        Ok(Some(inside)) => inside,
        Ok(None) => return function.into_token_stream(),
        Err(mistake) => return with_error(&mistake, &function),
    };
    match validate::refusal(&inside.options, &function) {
        None => expand::function(&inside.options, function),
        Some(refusal) if inside.is_asked_for => with_error(&refusal, &function),
        Some(_) => function.into_token_stream(),
    }
}

/// A block, other items and modules in other files as they are.
fn block_inside(outer: &Options, mut item: Item) -> Item {
    let Some(attributes) = attributes(&mut item) else { return item };
    let annotated = inside(outer, attributes).and_then(|inside| match inside {
        Some(inside) => block(&inside.options, &mut item),
        None => Ok(()),
    });
    match annotated {
        Ok(()) => item,
        Err(mistake) => Item::Verbatim(with_error(&mistake, &item)),
    }
}

/// Those of a block whose inside is here.
fn attributes(item: &mut Item) -> Option<&mut Vec<syn::Attribute>> {
    match item {
        Item::Impl(block) => Some(&mut block.attrs),
        Item::Trait(block) => Some(&mut block.attrs),
        Item::Mod(block) if block.content.is_some() => Some(&mut block.attrs),
        _ => None,
    }
}

/// The mistake, and the item as it was, so that one mistake gives one error.
pub(crate) fn with_error(mistake: &syn::Error, item: &impl ToTokens) -> TokenStream {
    let mistake = mistake.to_compile_error();
    quote!(#mistake #item)
}

/// What holds for an item inside of an annotated block.
struct Inside {
    options: Options,
    /// Whether it has an attribute of its own.
    is_asked_for: bool,
}

/// Takes an item's own attribute from it; `None` if the item is to be left alone.
fn inside(outer: &Options, attributes: &mut Vec<syn::Attribute>) -> syn::Result<Option<Inside>> {
    // Whether it applies is not known yet; if it does, it does its own work.
    if attributes.iter().any(validate::is_conditional_profile) {
        return Ok(None);
    }
    let own = attributes.iter().position(validate::is_profile).map(|at| attributes.remove(at));
    validate::once(attributes)?;
    let is_asked_for = own.is_some();
    let own = match own {
        Some(attribute) => match parse::attribute(options_of(attribute)?)? {
            Attribute::Profile(options) => options,
            Attribute::Skip => return Ok(None),
        },
        None => Options::default(),
    };
    Ok(Some(Inside { options: own.inside(outer), is_asked_for }))
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
