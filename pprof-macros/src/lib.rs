//! Macros of `pprof-runtime`, which re-exports them: use them through that crate.
//!
//! One file per phase: `parse` the attribute's options, `validate` the function, `expand`; `select` is another macro with its own.
#![forbid(unsafe_code)]

mod expand;
mod parse;
mod select;
mod validate;

use proc_macro::TokenStream;
use quote::quote;

/// Counts and times the calls of a function, in the `functions` profile.
///
/// Goes on functions and methods of every kind but `const fn`: generic, `unsafe`, `async`, of traits and of impls. The body is left
/// as it is: `?`, `return`, panics and recursion are all counted. Nothing is asked of arguments or result.
///
/// Time is wall time from entry to exit, less annotated callees for the function's own share. An `async fn` is timed while it is
/// polled, not while it is suspended, and counts as one call.
///
/// # Options
/// - `name = "..."`: the name shown, instead of the function's path;
/// - `crate = path`: where `pprof_runtime` is, if it has been renamed or re-exported.
///
/// # Overhead
/// Two looks at the CPU's time stamp counter while the profile is on; one predictable branch while it is off.
///
/// # Examples
/// ```ignore
/// // Compiled and run in pprof-runtime's tests: this crate cannot depend on it.
/// use pprof_runtime::profile;
///
/// #[profile]
/// fn parse(text: &str) -> Result<u32, std::num::ParseIntError> {
///     let number: u32 = text.trim().parse()?;
///     Ok(number)
/// }
///
/// #[profile(name = "request")]
/// async fn handle() {}
/// ```
#[proc_macro_attribute]
pub fn profile(options: TokenStream, item: TokenStream) -> TokenStream {
    let original = proc_macro2::TokenStream::from(item.clone());
    let expanded = parse::options(options.into()).and_then(|options| {
        let function = validate::function(item.into())?;
        Ok(expand::function(&options, function))
    });
    match expanded {
        Ok(tokens) => tokens.into(),
        // The item goes on existing, so that one mistake gives one error.
        Err(error) => {
            let error = error.to_compile_error();
            quote!(#error #original).into()
        }
    }
}

/// What `select!` and `select_biased!` of `pprof_runtime::crossbeam_channel` hand on: `[path of that module] order`, then what the user
/// wrote.
#[doc(hidden)]
#[proc_macro]
pub fn crossbeam_select(tokens: TokenStream) -> TokenStream {
    select::parse(tokens.into())
        .map_or_else(syn::Error::into_compile_error, |parsed| select::select(&parsed))
        .into()
}
