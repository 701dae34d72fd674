//! The attribute's options.

use proc_macro2::TokenStream;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Ident, LitStr, Path, Token};

/// `#[profile(name = "...", crate = path)]`, both optional.
pub(crate) struct Options {
    pub(crate) name: Option<LitStr>,
    pub(crate) runtime: Path,
}

enum Choice {
    Name(Ident, LitStr),
    Crate(Token![crate], Path),
}

impl Parse for Choice {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.peek(Token![crate]) {
            let token = input.parse()?;
            input.parse::<Token![=]>()?;
            return Ok(Choice::Crate(token, input.call(Path::parse_mod_style)?));
        }
        let key: Ident = input.parse()?;
        if key != "name" {
            let message =
                format!("unknown option `{key}`: write `name = \"...\"` or `crate = path`");
            return Err(syn::Error::new(key.span(), message));
        }
        input.parse::<Token![=]>()?;
        Ok(Choice::Name(key, input.parse()?))
    }
}

pub(crate) fn options(tokens: TokenStream) -> syn::Result<Options> {
    let parser = Punctuated::<Choice, Token![,]>::parse_terminated;
    let (mut name, mut runtime) = (None, None);
    for option in syn::parse::Parser::parse2(parser, tokens)? {
        let twice = match option {
            Choice::Name(key, value) => name.replace(value).map(|_| key.span()),
            Choice::Crate(key, value) => runtime.replace(value).map(|_| key.span),
        };
        if let Some(span) = twice {
            return Err(syn::Error::new(span, "this option is given twice"));
        }
    }
    if let Some(empty) = name.as_ref().filter(|name| name.value().is_empty()) {
        return Err(syn::Error::new(empty.span(), "the name is empty: leave the option out"));
    }
    let runtime = runtime.unwrap_or_else(|| syn::parse_quote!(::pprof_runtime));
    Ok(Options { name, runtime })
}
