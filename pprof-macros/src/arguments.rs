//! Arguments of async functions, whose bodies go into an async block.
//!
//! The compiler takes them into a function's future in their order, and drops them in the opposite one. A block takes what it uses in the order
//! of use, drops it in that order, and leaves outside what it does not use. So it begins by binding all of them anew, as the compiler does.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::{FnArg, Pat, Signature};

/// The statements that the block begins with. Patterns that take an argument apart are moved there; but not if they `stay_outside`, as what
/// they bind is used there.
pub(crate) fn moved_inside(signature: &mut Signature, stay_outside: bool) -> TokenStream {
    let mut statements = TokenStream::new();
    for (index, input) in signature.inputs.iter_mut().enumerate() {
        // What is called `self` cannot be bound anew. It comes first, and so is dropped last as it is.
        let FnArg::Typed(argument) = input else { continue };
        match &mut *argument.pat {
            Pat::Ident(pattern) if pattern.by_ref.is_none() && pattern.subpat.is_none() => {
                let name = pattern.ident.clone();
                let mutability = pattern.mutability.take();
                statements.extend(quote!(let #mutability #name = #name;));
            }
            _ if stay_outside => {}
            pattern => {
                let name = Ident::new(&format!("__pprof_argument_{index}"), Span::mixed_site());
                statements.extend(quote!(let #name = #name; let #pattern = #name;));
                *pattern = syn::parse_quote!(#name);
            }
        }
    }
    statements
}
