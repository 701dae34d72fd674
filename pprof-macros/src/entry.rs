//! `#[pprof_runtime::main]`: a guard that lives as long as `main` runs.
//!
//! It goes around all that other attributes put into the function, a runtime's threads and the call that `#[profile]` counts, and so has to
//! be expanded after them: where it stands first, it is written again as the last of the attributes.

use proc_macro2::{Group, Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::spanned::Spanned;
use syn::{AttrStyle, Attribute, ItemFn, Path, Stmt, Token};

use crate::validate;

/// `crate = path`, if it is there.
pub(crate) struct Options {
    runtime: Option<Path>,
}

impl Options {
    fn runtime(&self) -> Path {
        self.runtime.clone().unwrap_or_else(|| syn::parse_quote!(::pprof_runtime))
    }
}

impl syn::parse::Parse for Options {
    fn parse(input: syn::parse::ParseStream<'_>) -> syn::Result<Self> {
        if input.is_empty() {
            return Ok(Options { runtime: None });
        }
        if !input.peek(Token![crate]) {
            let message = "unknown option: write `crate = path`, or leave it out; what is profiled is said by the variable PPROF of the \
                           program's environment, as in PPROF=cpu";
            return Err(input.error(message));
        }
        input.parse::<Token![crate]>()?;
        input.parse::<Token![=]>()?;
        let runtime = Some(input.call(Path::parse_mod_style)?);
        input.parse::<Option<Token![,]>>()?;
        Ok(Options { runtime })
    }
}

/// `main` with its guard, or with this attribute behind the others.
pub(crate) fn main(options: &Options, item: TokenStream) -> syn::Result<TokenStream> {
    let place = item.clone().into_iter().next().map_or_else(Span::call_site, |token| token.span());
    let function: ItemFn = syn::parse2(item).map_err(|_| syn::Error::new(place, NOT_MAIN))?;
    refuse(options, &function)?;
    if function.attrs.iter().any(goes_first) {
        return Ok(behind_the_others(options, function));
    }
    match &function.sig.asyncness {
        Some(asyncness) => {
            let message = "an async main needs a runtime: write #[tokio::main], or the attribute of another one, next to this one";
            let mistake = syn::Error::new(asyncness.span(), message).into_compile_error();
            // Inside of another main, or the compiler would say the same in its own words.
            Ok(quote! { fn main() { #mistake #[allow(dead_code)] #function } })
        }
        None => Ok(with_guard(options, function)),
    }
}

const NOT_MAIN: &str = "#[pprof_runtime::main] goes on `fn main`: elsewhere write `let _guard = pprof_runtime::env::start()?;` where \
                        profiling begins";

fn refuse(options: &Options, function: &ItemFn) -> syn::Result<()> {
    let signature = &function.sig;
    if signature.ident != "main" || signature.receiver().is_some() {
        return Err(syn::Error::new(signature.ident.span(), NOT_MAIN));
    }
    if let Some(constness) = &signature.constness {
        let message = "a const fn main cannot start profiles: remove `const`";
        return Err(syn::Error::new(constness.span(), message));
    }
    let runtime = options.runtime();
    let ours =
        [words(&syn::parse_quote!(pprof_runtime::main)), words(&syn::parse_quote!(#runtime::main))];
    match function.attrs.iter().find(|attribute| ours.contains(&words(attribute.path()))) {
        Some(second) => {
            let message = "#[pprof_runtime::main] stands here twice: remove one";
            Err(syn::Error::new(second.span(), message))
        }
        None => Ok(()),
    }
}

/// A path's, from wherever it starts.
fn words(path: &Path) -> Vec<String> {
    path.segments.iter().map(|segment| segment.ident.to_string()).collect()
}

/// What has to be expanded before: `#[profile]`, whose call is inside of what is profiled, and a runtime's `#[...::main]`.
fn goes_first(attribute: &Attribute) -> bool {
    let is_main = attribute.path().segments.last().is_some_and(|last| last.ident == "main");
    is_main || validate::is_profile(attribute) || validate::is_conditional_profile(attribute)
}

fn behind_the_others(options: &Options, mut function: ItemFn) -> TokenStream {
    let runtime = options.runtime();
    let option = options.runtime.as_ref().map(|path| quote!((crate = #path)));
    function.attrs.push(syn::parse_quote!(#[#runtime::main #option]));
    function.into_token_stream()
}

fn with_guard(options: &Options, function: ItemFn) -> TokenStream {
    let ItemFn { mut attrs, vis, sig: signature, block } = function;
    let mut statements = block.stmts;
    // The body gets a statement in front, where an inner attribute may not follow: it says the same from outside.
    attrs.iter_mut().for_each(|attribute| attribute.style = AttrStyle::Outer);
    // Those stay first, as is good style.
    let items = statements.iter().take_while(|statement| matches!(statement, Stmt::Item(_)));
    let items: Vec<Stmt> = statements.drain(..items.count()).collect();
    let runtime = options.runtime();
    let guard = Ident::new("__pprof_environment", Span::mixed_site());
    let body = quote! {
        #(#items)*
        let #guard = #runtime::__macro_support::main();
        #(#statements)*
    };
    // Braces keep their place in the user's source: some errors point at them.
    let mut group = Group::new(proc_macro2::Delimiter::Brace, body);
    group.set_span(block.brace_token.span.join());
    quote! { #(#attrs)* #vis #signature #group }
}
