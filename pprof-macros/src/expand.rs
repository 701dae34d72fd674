//! The annotated function: a static that stands for it, and a guard or a wrapped future.

use std::mem;

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::token::Brace;
use syn::visit::Visit;
use syn::{
    AttrStyle, Attribute, Block, Expr, ExprReference, ImplItemFn, Path, ReturnType, Signature,
    Stmt, Token, Type, TypeImplTrait, TypeMacro,
};

use crate::parse::{Generic, Label, Options, Time};
use crate::{arguments, future, validate};

/// A method or any other function: a method may have all that others have.
pub(crate) fn function(options: &Options, function: ImplItemFn) -> TokenStream {
    let ImplItemFn { mut attrs, vis, defaultness, sig: mut signature, block } = function;
    let Block { brace_token: braces, stmts: mut statements } = block;
    // The body gets statements in front, where an inner attribute may not follow: it says the same from outside.
    attrs.iter_mut().for_each(|attribute| attribute.style = AttrStyle::Outer);
    let runtime = options.runtime();
    let support = quote!(#runtime::__macro_support);
    // A block may ask for the CPU time of all that it holds.
    let is_future = signature.asyncness.is_some() || future::is_returned(&signature);
    let options = &Options { cpu: options.cpu.filter(|_| !is_future), ..options.clone() };
    let site = site(options, &support, signature.ident.span());
    let name = Ident::new("__pprof_site", Span::mixed_site());
    // Those stay first, as is good style.
    let items = statements.iter().take_while(|statement| matches!(statement, Stmt::Item(_)));
    let mut items: Vec<Stmt> = statements.drain(..items.count()).collect();
    let labels = Ident::new("__pprof_labels", Span::mixed_site());
    let set = options.labels.as_deref().map(|labels| label_set(&runtime, labels));
    let made = set.as_ref().map(|set| quote!(let #labels = #set;));
    // Each `return` of a future may be the one.
    let labelled = |future: TokenStream| match &set {
        Some(_) => {
            let labels = quote!(::core::clone::Clone::clone(&#labels));
            quote!(#runtime::labelled(#labels, #future))
        }
        None => future,
    };
    let instrumented =
        |future: &Expr| labelled(quote!(#support::Instrumented::new(#name, #future)));
    let is_async = signature.asyncness.is_some();
    let body = if is_async {
        let typed_return = typed_return(&signature.output);
        // Labels are made when the body begins.
        let is_returned = set.is_none() && return_future(options, &mut attrs, &mut signature);
        let arguments = if is_returned {
            arguments::bound_inside(&mut signature)
        } else {
            arguments::moved_inside(&mut signature, &statements, options.labels.as_deref())
        };
        // They are not to look superfluous.
        let body = braced(&braces, quote!(#support::locate(#name); #(#statements)*));
        let future = labelled(quote! {
            #support::Instrumented::new(#name, async move {
                #arguments
                #typed_return
                #body
            })
        });
        let awaited = (!is_returned).then(|| quote!(.await));
        quote! {
            let #name = #site;
            #made
            #future #awaited
        }
    } else if future::wrap(&signature, &mut statements, instrumented) {
        quote! {
            let #name = #site;
            #made
            #support::locate(#name);
            #(#statements)*
        }
    } else {
        // Before the call, which has them, and until it is over.
        let made = set.as_ref().map(|set| quote!(let #labels = #set.set();));
        let guard = Ident::new("__pprof_guard", Span::mixed_site());
        let frame = Ident::new("__pprof_frame", Span::mixed_site());
        // Of those whose calls are not all timed.
        let kind = match (options.time, options.cpu) {
            (None | Some(Time::Exact | Time::Sampled(1)), None) => None,
            (Some(Time::Off), None) => Some(quote!(COUNTED)),
            (_, None) => Some(quote!(SAMPLED)),
            _ => Some(quote!(LOOKED_AT)),
        };
        let (frame_type, guard_type, kind_argument) = match &kind {
            None => (quote!(Frame), quote!(FunctionGuard), None),
            Some(kind) => {
                (quote!(LightFrame), quote!(LightGuard), Some(quote!(::<'_, { #support::#kind }>)))
            }
        };
        // By their paths: a trait of the user's may have methods of these names.
        let allocations = Ident::new("__pprof_allocations", Span::mixed_site());
        let allocations = options
            .alloc
            .then(|| quote!(let #allocations = #support::#guard_type::allocations(&#guard);));
        let statements = quote!(#allocations #(#statements)*);
        // What comes to its end is known not to be left by a panic, which would take as long to find out as all else that is done there.
        // Items are put inside, lest one has the name of the result's type, but labels may be made of them.
        let can_be_told = kind.is_some() && (set.is_none() || items.is_empty());
        let ty = can_be_told.then(|| nameable(&signature.output)).flatten();
        let body = match ty.filter(|ty| !mentions(ty).a_macro) {
            Some(ty) => {
                let value = Ident::new("__pprof_value", Span::mixed_site());
                let items = mem::take(&mut items);
                // With a semicolon the braces do not look superfluous.
                let body = braced(&braces, quote!(#(#items)* ; #statements));
                quote! {
                    #[allow(clippy::diverging_sub_expression)]
                    let #value: #ty = #body;
                    #[allow(unreachable_code)]
                    #support::#guard_type::finish(#guard);
                    #value
                }
            }
            None => statements,
        };
        quote! {
            #made
            let mut #frame = #support::#frame_type::new();
            let #guard = #support::#guard_type #kind_argument::enter(&mut #frame, #site);
            #body
        }
    };
    let body = braced(&braces, quote!(#(#items)* #body));
    // Ends the signature in the user's place: what is said of all of it would else be said of the attribute.
    let ends_here = is_async && signature.asyncness.is_none();
    let end = (ends_here && signature.generics.where_clause.is_none())
        .then(|| Token![where](signature.ident.span()));
    quote! { #(#attrs)* #vis #defaultness #signature #end #body }
}

/// In braces of the user's: some errors point at them, and the edition of his crate says what is dropped first at their end.
fn braced(braces: &Brace, content: TokenStream) -> Group {
    let mut group = Group::new(Delimiter::Brace, content);
    group.set_span(braces.span.join());
    group
}

/// A set of labels.
fn label_set(runtime: &Path, labels: &[Label]) -> TokenStream {
    let pairs = labels.iter().map(|Label { key, value, .. }| {
        // Where it cannot be displayed, that is said of the user's own words.
        let value = ExprReference {
            attrs: Vec::new(),
            and_token: Token![&](value.span()),
            mutability: None,
            expr: Box::new(value.clone()),
        };
        quote_spanned!(value.expr.span()=> (#key, ::std::string::ToString::to_string(#value)))
    });
    quote!(#runtime::Labels::new([#(#pairs),*]))
}

/// A reference to the static. It is named after an item inside the function, whose type name tells the function's path; both live in a
/// block of their own, where they meet no item of the user's.
fn site(options: &Options, support: &TokenStream, place: Span) -> TokenStream {
    let name = options.name.as_ref().map_or_else(|| quote!(""), |name| quote!(#name));
    let file = quote_spanned!(place=> ::core::file!());
    let line = quote_spanned!(place=> ::core::line!());
    let cpu = options.cpu.map_or(0, |cpu| cpu.every);
    let time = match options.time {
        None | Some(Time::Exact) => 1,
        Some(Time::Sampled(every)) => every,
        Some(Time::Off) => 0,
    };
    let looked_at = ((time, cpu) != (1, 0)).then(|| quote!(.looked_at(#time, #cpu)));
    let allocations = options.alloc.then(|| quote!(.allocations()));
    // The type of a closure has the function's type arguments.
    let value = match options.generic {
        Some(Generic::Each) => quote!(#support::instance(&SITE, || {})),
        _ => quote!(&SITE),
    };
    quote! {
        {
            struct Here;
            static SITE: #support::Site =
                #support::Site::new(#name, ::core::any::type_name::<Here>, #file, #line)#looked_at #allocations;
            #value
        }
    }
}

/// Tells the compiler the type of an async body, as the signature would have: without it `?` and literals in the body would be
/// inferred from the inside alone, and errors would point at the attribute.
fn typed_return(output: &ReturnType) -> TokenStream {
    let Some(ty) = nameable(output) else { return TokenStream::new() };
    let value = Ident::new("__pprof_return", Span::mixed_site());
    quote! {
        #[allow(
            unreachable_code,
            clippy::diverging_sub_expression,
            clippy::empty_loop,
            clippy::let_unit_value,
            clippy::needless_return,
            clippy::type_complexity
        )]
        if false {
            let #value: #ty = loop {};
            return #value;
        }
    }
}

/// Makes of an async function what the compiler would: one that returns its future. So there is no other future around the instrumented one,
/// which would be compiled as well and have room for the arguments twice.
///
/// Not where the result has no name, nor with `impl` in arguments, in which lifetimes may be left out in async functions alone; nor where others
/// look at the function: other macros, or what the compiler says of async functions alone.
fn return_future(options: &Options, attrs: &mut Vec<Attribute>, signature: &mut Signature) -> bool {
    let mut mentions = Mentions::default();
    mentions.visit_signature(signature);
    let is_seen_by_others = options.is_seen_by_others || validate::are_seen_by_others(attrs);
    if mentions.impl_trait || mentions.a_macro || is_seen_by_others {
        return false;
    }
    let Some(ty) = nameable(&signature.output) else { return false };
    // Said of `next` and the like, but not of async ones.
    attrs.push(syn::parse_quote!(#[allow(clippy::should_implement_trait)]));
    signature.asyncness = None;
    // As it is written in this crate's edition, it captures all lifetimes in any.
    signature.output = syn::parse_quote!(-> impl ::core::future::Future<Output = #ty>);
    true
}

/// The type of what a function returns, if a `let` can have it.
fn nameable(output: &ReturnType) -> Option<Type> {
    let ty: Type = match output {
        ReturnType::Default => syn::parse_quote!(()),
        ReturnType::Type(_, ty) => (**ty).clone(),
    };
    // `impl Trait` cannot be written in a `let`, nor can `!`.
    (!matches!(ty, Type::Never(_)) && !mentions(&ty).impl_trait).then_some(ty)
}

/// What a type is made of that may not be written everywhere; a macro may stand for any of it.
#[derive(Default)]
struct Mentions {
    impl_trait: bool,
    a_macro: bool,
}

impl Visit<'_> for Mentions {
    fn visit_type_impl_trait(&mut self, _: &TypeImplTrait) {
        self.impl_trait = true;
    }
    fn visit_type_macro(&mut self, _: &TypeMacro) {
        self.a_macro = true;
    }
}

fn mentions(ty: &Type) -> Mentions {
    let mut mentions = Mentions::default();
    mentions.visit_type(ty);
    mentions
}
