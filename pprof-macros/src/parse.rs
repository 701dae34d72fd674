//! The attribute's options.

use proc_macro2::{Span, TokenStream};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Ident, LitStr, Path, Token};

/// What stands in the parentheses of `#[profile(...)]`.
pub(crate) enum Attribute {
    Profile(Options),
    /// `skip`: the item is left as it is.
    Skip,
}

/// `name = "..."` and `crate = path`, both optional.
pub(crate) struct Options {
    pub(crate) name: Option<LitStr>,
    pub(crate) runtime: Option<Path>,
}

impl Options {
    /// Where `pprof_runtime` is.
    pub(crate) fn runtime(&self) -> Path {
        self.runtime.clone().unwrap_or_else(|| syn::parse_quote!(::pprof_runtime))
    }
}

enum Choice {
    Name(Ident, LitStr),
    Crate(Token![crate], Path),
    Skip(Ident),
}

impl Choice {
    fn span(&self) -> Span {
        match self {
            Choice::Name(key, _) | Choice::Skip(key) => key.span(),
            Choice::Crate(key, _) => key.span,
        }
    }
}

impl Parse for Choice {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.peek(Token![crate]) {
            let token = input.parse()?;
            input.parse::<Token![=]>()?;
            return Ok(Choice::Crate(token, input.call(Path::parse_mod_style)?));
        }
        let key: Ident = input.parse()?;
        match key.to_string().as_str() {
            "name" => {
                input.parse::<Token![=]>()?;
                Ok(Choice::Name(key, input.parse()?))
            }
            "skip" => Ok(Choice::Skip(key)),
            other => {
                let message = format!(
                    "unknown option `{other}`: write `name = \"...\"`, `crate = path` or `skip`"
                );
                Err(syn::Error::new(key.span(), message))
            }
        }
    }
}

pub(crate) fn attribute(tokens: TokenStream) -> syn::Result<Attribute> {
    let parser = Punctuated::<Choice, Token![,]>::parse_terminated;
    let choices = syn::parse::Parser::parse2(parser, tokens)?;
    let (mut name, mut runtime, mut skip) = (None, None, None);
    let count = choices.len();
    for choice in choices {
        let span = choice.span();
        let is_twice = match choice {
            Choice::Name(_, value) => name.replace(value).is_some(),
            Choice::Crate(_, value) => runtime.replace(value).is_some(),
            Choice::Skip(key) => skip.replace(key).is_some(),
        };
        if is_twice {
            return Err(syn::Error::new(span, "this option is given twice"));
        }
    }
    if let Some(empty) = name.as_ref().filter(|name| name.value().is_empty()) {
        return Err(syn::Error::new(empty.span(), "the name is empty: leave the option out"));
    }
    match skip {
        None => Ok(Attribute::Profile(Options { name, runtime })),
        Some(_) if count == 1 => Ok(Attribute::Skip),
        Some(skip) => Err(syn::Error::new(
            skip.span(),
            "what is skipped takes no other options: leave them out, or leave out `skip`",
        )),
    }
}
