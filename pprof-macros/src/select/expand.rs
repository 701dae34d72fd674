//! What a `select!` becomes.
//!
//! ```text
//! match (<channel 0>) { ref channel0 => {                       // evaluated in order; temporaries live on
//!     let channel0: &Receiver<_> = channel0;
//!     ...
//!     let timeout: Duration = <timeout>;
//!     let mut wait = Waiting::begin(<profiled, and nothing ready as it seems>, <the channel, if it is but one>);
//!     select! {                                                 // the original's
//!         recv(channel0.as_inner()) -> <pattern> => { wait.end(); <body> },
//!         send(channel1.as_inner(), (wait.end(), <message>).1) -> <pattern> => { <body> },
//!         default(timeout) => { wait.end(); <body> },
//!     }
//! } }
//! ```
//!
//! The user's code is in no closure, loop or labelled block, so that `return`, `break`, `continue`, `?` and `.await` do what they say.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote_spanned};
use syn::spanned::Spanned;

use super::parse::Select;

pub(crate) fn select(select: &Select) -> TokenStream {
    let channels = &select.channels;
    let names: Vec<Ident> =
        (0..select.operations.len()).map(|i| format_ident!("channel{i}", span = mixed())).collect();
    let mut all = selection(select, &names);
    for (operation, name) in select.operations.iter().zip(&names).rev() {
        let half = if operation.message.is_some() { "Sender" } else { "Receiver" };
        let half = Ident::new(half, mixed());
        let channel = &operation.channel;
        // An error about its type points at the expression.
        let place = Ident::new(&name.to_string(), channel.span().resolved_at(mixed()));
        all = quote_spanned! {mixed()=>
            match (#channel) {
                ref #name => {
                    let #name: &#channels::#half<_> = #place;
                    #all
                }
            }
        };
    }
    quote_spanned!(mixed()=> { #all })
}

/// The original's macro over channels that are bound to `names`.
fn selection(select: &Select, names: &[Ident]) -> TokenStream {
    let support = &select.channels;
    let support = quote_spanned!(mixed()=> #support::macro_support);
    let [wait, timeout] = ["wait", "timeout"].map(|name| Ident::new(name, mixed()));
    let waits = !matches!(&select.default, Some(default) if default.timeout.is_none());
    let end = waits.then(|| quote_spanned!(mixed()=> #wait.end();));

    let operations = select.operations.iter().zip(names).map(|(operation, name)| {
        let (pattern, body) = (&operation.result, &operation.body);
        match &operation.message {
            None => quote_spanned! {mixed()=>
                recv(#name.as_inner()) -> #pattern => { #end #body },
            },
            Some(message) if waits => quote_spanned! {mixed()=>
                send(#name.as_inner(), (#wait.end(), #message).1) -> #pattern => { #body },
            },
            Some(message) => quote_spanned! {mixed()=>
                send(#name.as_inner(), #message) -> #pattern => { #body },
            },
        }
    });
    let default = select.default.as_ref().map(|default| {
        let body = &default.body;
        let timeout = waits.then_some(&timeout);
        quote_spanned!(mixed()=> default(#timeout) => { #end #body },)
    });
    let expression = select.default.as_ref().and_then(|default| default.timeout.as_ref());
    let begin = expression.map(
        |expression| quote_spanned!(mixed()=> let #timeout: ::core::time::Duration = #expression;),
    );
    let some_time = expression.map(|_| quote_spanned!(mixed()=> && !#timeout.is_zero()));
    let lock = match names {
        [only] => quote_spanned!(mixed()=> #support::Half::lock(#only)),
        // With several, none is waited for more than the others.
        _ => quote_spanned!(mixed()=> #support::Lock::none()),
    };
    let begin = waits.then(|| {
        quote_spanned! {mixed()=>
            #begin
            let mut #wait = #support::Waiting::begin(
                #support::is_profiled() #(&& !#support::Half::is_ready(#names))* #some_time,
                #lock,
            );
        }
    });
    let name = if select.biased { "select_biased_original" } else { "select_original" };
    let name = Ident::new(name, mixed());
    quote_spanned! {mixed()=>
        #begin
        #support::#name! { #(#operations)* #default }
    }
}

fn mixed() -> Span {
    Span::mixed_site()
}
