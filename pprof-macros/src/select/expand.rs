//! What a `select!` becomes.
//!
//! ```text
//! enum Choice<T0, T1> { Operation0(T0), Operation1(T1), Default }
//!
//! match (<channel 0>) { ref channel0 => {                       // evaluated in order; temporaries live on
//!     let channel0: &Receiver<_> = channel0;
//!     ...
//!     let timeout: Duration = <timeout>;
//!     let choice = 'choice: {
//!         select! { recv(channel0.as_inner()) -> result => break 'choice Choice::Operation0(result), ..., default => {} }
//!         <wait with Select, and do the operation>
//!     };
//!     match choice {                                            // nothing is borrowed any more
//!         Choice::Operation0(result) => { let <pattern 0> = result; <body 0> }
//!         ...
//!     }
//! } }
//! ```
//!
//! Bodies are in no closure, loop or labelled block, so that `return`, `break`, `continue`, `?` and `.await` do what they say.

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{format_ident, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, Lifetime};

use super::parse::{Operation, Select};

/// So many operations fit into the original's macro.
const MAX_TRIED: usize = 32;

pub(crate) fn select(select: &Select) -> TokenStream {
    let Select { channels, operations, default, .. } = select;
    let names = Names::new(operations.len());
    let (choice_type, channel_names) = (&names.choice, &names.channels);
    let (variants, parameters) = (&names.variants, &names.parameters);
    let [choice, result, timeout] = ["choice", "result", "timeout"].map(local);

    let default_variant = default.as_ref().map(|_| local("Default"));
    let chosen = names.choose(select);
    let timeout = default.as_ref().and_then(|default| default.timeout.as_ref()).map(
        |expression| quote_spanned!(mixed()=> let #timeout: ::core::time::Duration = #expression;),
    );
    let patterns = operations.iter().map(|operation| &operation.result);
    let bodies = operations.iter().map(|operation| &operation.body);
    let default_arm = default.as_ref().map(|default| {
        let body = &default.body;
        quote_spanned!(mixed()=> #choice_type::Default => { #body })
    });
    let mut all = quote_spanned! {mixed()=>
        #timeout
        let #choice = #chosen;
        match #choice {
            #(#choice_type::#variants(#result) => { let (#patterns) = #result; #bodies })*
            #default_arm
        }
    };
    for (operation, name) in operations.iter().zip(channel_names).rev() {
        let channel = &operation.channel;
        let half = if operation.message.is_some() { "Sender" } else { "Receiver" };
        let half = Ident::new(half, mixed());
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
    quote_spanned! {mixed()=>
        {
            #[allow(dead_code)]
            enum #choice_type<#(#parameters),*> {
                #(#variants(#parameters),)*
                #default_variant
            }
            #all
        }
    }
}

/// Names that the user's code does not see, save those of types.
struct Names {
    choice: Ident,
    channels: Vec<Ident>,
    variants: Vec<Ident>,
    parameters: Vec<Ident>,
}

impl Names {
    fn new(operations: usize) -> Names {
        let numbered = |prefix| {
            (0..operations).map(|i| format_ident!("{prefix}{i}", span = mixed())).collect()
        };
        Names {
            choice: local("__PprofChoice"),
            channels: numbered("channel"),
            variants: numbered("Operation"),
            parameters: numbered("T"),
        }
    }

    /// An operation chosen and done, or the default.
    fn choose(&self, select: &Select) -> TokenStream {
        let Names { choice, variants, .. } = self;
        let result = local("result");
        match &select.default {
            Some(default) if default.timeout.is_none() && select.operations.is_empty() => {
                quote_spanned!(mixed()=> #choice::Default)
            }
            Some(default) if default.timeout.is_none() => {
                let done = variants.iter().map(|v| quote_spanned!(mixed()=> #choice::#v(#result)));
                self.attempt(select, done, &quote_spanned!(mixed()=> #choice::Default))
            }
            _ if can_be_tried(&select.operations) => {
                let label = Lifetime::new("'choice", mixed());
                let done = variants
                    .iter()
                    .map(|v| quote_spanned!(mixed()=> break #label #choice::#v(#result)));
                let attempt = self.attempt(select, done, &quote_spanned!(mixed()=> {}));
                let wait = self.wait(select);
                quote_spanned!(mixed()=> #label: { #attempt #wait })
            }
            _ => {
                let wait = self.wait(select);
                quote_spanned!(mixed()=> { #wait })
            }
        }
    }

    /// The original's macro, which does not wait.
    fn attempt(
        &self,
        select: &Select,
        done: impl Iterator<Item = TokenStream>,
        otherwise: &TokenStream,
    ) -> TokenStream {
        let channels = &select.channels;
        let result = local("result");
        let operations = select.operations.iter().zip(&self.channels).map(
            |(operation, channel)| match &operation.message {
                None => quote_spanned!(mixed()=> recv(#channel.as_inner())),
                Some(message) => quote_spanned!(mixed()=> send(#channel.as_inner(), #message)),
            },
        );
        let name =
            Ident::new(if select.biased { "try_in_order" } else { "try_in_any_order" }, mixed());
        quote_spanned! {mixed()=>
            #channels::macro_support::#name! {
                #(#operations -> #result => #done,)*
                default => #otherwise
            }
        }
    }

    fn wait(&self, select: &Select) -> TokenStream {
        let (channels, choice) = (&select.channels, &self.choice);
        let [list, selected, timeout] = ["list", "selected", "timeout"].map(local);
        let new = Ident::new(if select.biased { "new_biased" } else { "new" }, mixed());
        let add = select.operations.iter().zip(&self.channels).map(|(operation, channel)| {
            let add =
                Ident::new(if operation.message.is_some() { "send" } else { "recv" }, mixed());
            quote_spanned!(mixed()=> #list.#add(#channel);)
        });
        let done = select.operations.iter().enumerate().map(|(i, operation)| {
            let (channel, variant) = (&self.channels[i], &self.variants[i]);
            let i = Literal::usize_suffixed(i);
            let done = match &operation.message {
                None => quote_spanned!(mixed()=> #selected.recv(#channel)),
                Some(message) => quote_spanned!(mixed()=> #selected.send(#channel, #message)),
            };
            quote_spanned!(mixed()=> #i => #choice::#variant(#done),)
        });
        let done = quote_spanned! {mixed()=>
            match #selected.index() {
                #(#done)*
                _ => ::core::unreachable!("an operation that is not in the list"),
            }
        };
        let selected = match &select.default {
            None => quote_spanned!(mixed()=> let #selected = #list.select(); #done),
            Some(_) => quote_spanned! {mixed()=>
                match #list.select_timeout(#timeout) {
                    ::core::result::Result::Ok(#selected) => #done,
                    ::core::result::Result::Err(_) => #choice::Default,
                }
            },
        };
        quote_spanned! {mixed()=>
            let mut #list = #channels::Select::#new();
            #(#add)*
            #selected
        }
    }
}

fn mixed() -> Span {
    Span::mixed_site()
}

fn local(name: &str) -> Ident {
    Ident::new(name, mixed())
}

/// Whether trying first is possible: it repeats the messages' expressions.
fn can_be_tried(operations: &[Operation]) -> bool {
    let messages = operations.iter().filter_map(|operation| operation.message.as_ref());
    (1..=MAX_TRIED).contains(&operations.len()) && all_may_be_repeated(messages)
}

fn all_may_be_repeated<'e>(expressions: impl IntoIterator<Item = &'e Expr>) -> bool {
    expressions.into_iter().all(may_be_repeated)
}

/// Whether `expression` means the same in two places, of which one is run. A closure does not, being of another type in each; nor does what
/// may have one inside; nor what leaves the `select!`, from within a labelled block or not.
fn may_be_repeated(expression: &Expr) -> bool {
    match expression {
        Expr::Lit(_) | Expr::Path(_) => true,
        Expr::Array(e) => all_may_be_repeated(&e.elems),
        Expr::Binary(e) => may_be_repeated(&e.left) && may_be_repeated(&e.right),
        Expr::Call(e) => may_be_repeated(&e.func) && all_may_be_repeated(&e.args),
        Expr::Cast(e) => may_be_repeated(&e.expr),
        Expr::Field(e) => may_be_repeated(&e.base),
        Expr::Group(e) => may_be_repeated(&e.expr),
        Expr::Index(e) => may_be_repeated(&e.expr) && may_be_repeated(&e.index),
        Expr::MethodCall(e) => may_be_repeated(&e.receiver) && all_may_be_repeated(&e.args),
        Expr::Paren(e) => may_be_repeated(&e.expr),
        Expr::Reference(e) => may_be_repeated(&e.expr),
        Expr::Struct(e) => {
            let values = e.fields.iter().map(|field| &field.expr);
            all_may_be_repeated(values.chain(e.rest.as_deref()))
        }
        Expr::Tuple(e) => all_may_be_repeated(&e.elems),
        Expr::Unary(e) => may_be_repeated(&e.expr),
        _ => false,
    }
}
