//! A function as far as it has to be known.
//!
//! Bodies are most of a program. Parsing them, in a macro that is compiled without optimisation as most are, takes longer than all else that
//! is done here, and is done again by the compiler: so it is left out where nothing is looked for in the body.

use proc_macro2::TokenStream;
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Block, Expr, ImplItemFn, Stmt, Token, Visibility, braced};

use crate::future;

/// A method or any other function; its body may be one expression of unknown kind.
pub(crate) struct Function(pub(crate) ImplItemFn);

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut attrs = input.call(Attribute::parse_outer)?;
        let vis: Visibility = input.parse()?;
        let defaultness: Option<Token![default]> = input.parse()?;
        let sig: syn::Signature = input.parse()?;
        let content;
        let brace_token = braced!(content in input);
        attrs.extend(content.call(Attribute::parse_inner)?);
        let stmts = if may_begin_with_item(&content) || future::may_be_made_by(&sig) {
            content.call(Block::parse_within)?
        } else {
            let body: TokenStream = content.parse()?;
            vec![Stmt::Expr(Expr::Verbatim(body), None)]
        };
        Ok(Function(ImplItemFn {
            attrs,
            vis,
            defaultness,
            sig,
            block: Block { brace_token, stmts },
        }))
    }
}

/// Items go before what is put in front of the body; what only looks like one is parsed for nothing.
fn may_begin_with_item(body: ParseStream<'_>) -> bool {
    const WORDS: [&str; 17] = [
        "async",
        "auto",
        "const",
        "enum",
        "extern",
        "fn",
        "impl",
        "macro_rules",
        "mod",
        "pub",
        "static",
        "struct",
        "trait",
        "type",
        "union",
        "unsafe",
        "use",
    ];
    let first = body.cursor().ident();
    body.peek(Token![#]) || first.is_some_and(|(first, _)| WORDS.iter().any(|word| first == word))
}
