//! The grammar of `select!`: the original's, with an error on the token that is wrong.

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use quote::quote_spanned;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Expr, Ident, Pat, Token, token};

/// All of a `select!`.
pub(crate) struct Select {
    /// Path of the runtime's channels.
    pub(crate) channels: TokenStream,
    /// Whether the first operation that is ready is chosen.
    pub(crate) biased: bool,
    pub(crate) operations: Vec<Operation>,
    pub(crate) default: Option<Default>,
}

/// `recv(channel) -> result => body`, or `send(channel, message) -> result => body`.
pub(crate) struct Operation {
    pub(crate) channel: Expr,
    /// What is sent; nothing if it is received.
    pub(crate) message: Option<Expr>,
    pub(crate) result: Pat,
    pub(crate) body: TokenStream,
}

/// `default(timeout) => body`.
pub(crate) struct Default {
    pub(crate) timeout: Option<Expr>,
    pub(crate) body: TokenStream,
}

pub(crate) fn parse(tokens: TokenStream) -> syn::Result<Select> {
    syn::parse2(tokens)
}

impl Parse for Select {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let path;
        syn::bracketed!(path in input);
        let channels = path.parse()?;
        let biased = input.parse::<Ident>()? == "in_order";
        if input.is_empty() {
            let message =
                "nothing to select from: write `recv(receiver) -> result => ...` and the like";
            return Err(syn::Error::new(Span::call_site(), message));
        }
        let (mut operations, mut default) = (Vec::new(), None);
        while !input.is_empty() {
            let keyword = input.call(Ident::parse_any)?;
            if keyword != "default" {
                operations.push(operation(&keyword, input)?);
            } else if default.is_none() {
                default = Some(self::default(input)?);
            } else {
                return Err(syn::Error::new(keyword.span(), "there is a `default` already"));
            }
        }
        Ok(Select { channels, biased, operations, default })
    }
}

fn operation(keyword: &Ident, input: ParseStream<'_>) -> syn::Result<Operation> {
    let (channel, message) = match keyword.to_string().as_str() {
        "recv" => {
            let arguments = arguments(input, "recv(receiver) -> result => ...")?;
            let channel = arguments.parse()?;
            end(&arguments)?;
            (channel, None)
        }
        "send" => {
            let arguments = arguments(input, "send(sender, message) -> result => ...")?;
            let channel = arguments.parse()?;
            if !arguments.peek(Token![,]) {
                return Err(arguments.error("expected what to send: write `send(sender, message)`"));
            }
            arguments.parse::<Token![,]>()?;
            let message = arguments.parse()?;
            end(&arguments)?;
            (channel, Some(message))
        }
        other => {
            let message = format!("expected `recv`, `send` or `default`, found `{other}`");
            return Err(syn::Error::new(keyword.span(), message));
        }
    };
    if !input.peek(Token![->]) {
        let message = format!("expected the result of `{keyword}`: write `-> result => ...`");
        return Err(input.error(message));
    }
    input.parse::<Token![->]>()?;
    let result = input.call(Pat::parse_multi_with_leading_vert)?;
    input.parse::<Token![=>]>()?;
    Ok(Operation { channel, message, result, body: body(input)? })
}

/// What is in the parentheses that must come now.
fn arguments<'i>(input: ParseStream<'i>, usage: &str) -> syn::Result<syn::parse::ParseBuffer<'i>> {
    if !input.peek(token::Paren) {
        return Err(input.error(format!("expected arguments: write `{usage}`")));
    }
    let arguments;
    syn::parenthesized!(arguments in input);
    Ok(arguments)
}

fn end(arguments: ParseStream<'_>) -> syn::Result<()> {
    arguments.parse::<Option<Token![,]>>()?;
    if arguments.is_empty() { Ok(()) } else { Err(arguments.error("unexpected argument")) }
}

fn default(input: ParseStream<'_>) -> syn::Result<Default> {
    let mut timeout = None;
    if !input.peek(Token![=>]) && !input.peek(Token![->]) {
        let arguments = arguments(input, "default => ...` or `default(timeout) => ...")?;
        if !arguments.is_empty() {
            timeout = Some(arguments.parse()?);
            end(&arguments)?;
        }
    }
    if input.peek(Token![->]) {
        return Err(input.error("a `default` has no result: write `default => ...`"));
    }
    input.parse::<Token![=>]>()?;
    Ok(Default { timeout, body: body(input)? })
}

/// A block, without its braces, or an expression that a comma ends; the comma too.
fn body(input: ParseStream<'_>) -> syn::Result<TokenStream> {
    if input.is_empty() {
        return Err(input.error("expected what to do: write `=> expression` or `=> { ... }`"));
    }
    let ahead = input.fork();
    let body = match block(&ahead) {
        Some(statements) if ahead.is_empty() || ahead.peek(Token![,]) || starts_case(&ahead) => {
            // What they are is the compiler's business.
            input.parse::<TokenTree>()?;
            statements
        }
        _ => {
            let expression: Expr = input.parse()?;
            if !input.is_empty() && !input.peek(Token![,]) {
                return Err(input.error("expected `,` after the expression"));
            }
            // It may begin with a block, which would be a statement.
            quote_spanned!(Span::mixed_site()=> (#expression))
        }
    };
    input.parse::<Option<Token![,]>>()?;
    Ok(body)
}

/// What is between braces, which a macro may have been given as a `$body:block`.
fn block(input: ParseStream<'_>) -> Option<TokenStream> {
    let TokenTree::Group(group) = input.parse().ok()? else { return None };
    match group.delimiter() {
        Delimiter::Brace => Some(group.stream()),
        Delimiter::None => {
            let within = |input: ParseStream<'_>| {
                block(input)
                    .filter(|_| input.is_empty())
                    .ok_or_else(|| input.error("expected one block"))
            };
            within.parse2(group.stream()).ok()
        }
        _ => None,
    }
}

fn starts_case(input: ParseStream<'_>) -> bool {
    input.peek(Ident::peek_any) && (input.peek2(token::Paren) || input.peek2(Token![=>]))
}
