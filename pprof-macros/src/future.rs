//! Functions that are not `async` and return a future all the same.

use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::visit_mut::{self, VisitMut};
use syn::{
    Expr, ExprMethodCall, ExprReturn, GenericArgument, PathArguments, ReturnType, Signature, Stmt,
    Type, TypeParamBound,
};

/// Whether a function's body has to be looked at.
pub(crate) fn may_be_made_by(signature: &Signature) -> bool {
    let ReturnType::Type(_, ty) = &signature.output else { return false };
    is_boxed_future(ty) || is_impl_future(ty)
}

/// Wraps the future that a function returns, wherever it makes it. Where that cannot be seen, or it returns something else, nothing is
/// changed and the result is false.
pub(crate) fn wrap(
    signature: &Signature,
    statements: &mut [Stmt],
    wrapped: impl Fn(&Expr) -> TokenStream,
) -> bool {
    let ReturnType::Type(_, ty) = &signature.output else { return false };
    let is_boxed = is_boxed_future(ty);
    if !is_boxed && !is_impl_future(ty) {
        return false;
    }
    // What is boxed has one type whatever it is; else all that is returned has, and one of several cannot be wrapped.
    if !for_each_return(statements, |returned| is_boxed && boxed(returned).is_some()) {
        return false;
    }
    let Some(Stmt::Expr(last, None)) = statements.last_mut() else { return false };
    if is_conditional(last) {
        return false;
    }
    let Some(made) = (if is_boxed { boxed(last) } else { Some(last) }) else { return false };
    let mut replace = |made: &mut Expr| {
        let future = wrapped(made);
        let boxes = matches!(made, Expr::MethodCall(call) if is_boxing(call));
        *made =
            Expr::Verbatim(if boxes { quote!(::std::boxed::Box::pin(#future)) } else { future });
    };
    replace(made);
    for_each_return(statements, |returned| boxed(returned).map(&mut replace).is_some())
}

/// Whether what is returned is a future by its type.
pub(crate) fn is_returned(signature: &Signature) -> bool {
    let ReturnType::Type(_, ty) = &signature.output else { return false };
    is_boxed_future(ty) || is_impl_future(ty)
}

/// `impl Future<...>`, and nothing besides that what wraps it would not be.
fn is_impl_future(ty: &Type) -> bool {
    let Type::ImplTrait(ty) = ty else { return false };
    is_future(ty.bounds.iter())
}

fn is_future<'b>(bounds: impl Iterator<Item = &'b TypeParamBound>) -> bool {
    let mut is_future = false;
    for bound in bounds {
        let TypeParamBound::Trait(bound) = bound else { continue };
        let Some(last) = bound.path.segments.last() else { return false };
        match last.ident.to_string().as_str() {
            "Future" => is_future = true,
            "Send" | "Sync" | "Unpin" | "UnwindSafe" | "RefUnwindSafe" => {}
            _ => return false,
        }
    }
    is_future
}

/// `Pin<Box<dyn Future<...>>>`, or what the crate `futures` calls it.
fn is_boxed_future(ty: &Type) -> bool {
    let Some((name, argument)) = last_segment(ty) else { return false };
    match name.as_str() {
        "BoxFuture" | "LocalBoxFuture" => true,
        "Pin" => argument.and_then(last_segment).is_some_and(|(name, argument)| {
            let is_dyn_future =
                |ty: &Type| matches!(ty, Type::TraitObject(ty) if is_future(ty.bounds.iter()));
            name == "Box" && argument.is_some_and(is_dyn_future)
        }),
        _ => false,
    }
}

/// The name of a type, and the first type among its arguments.
fn last_segment(ty: &Type) -> Option<(String, Option<&Type>)> {
    let Type::Path(ty) = ty else { return None };
    let last = ty.path.segments.last()?;
    let first = match &last.arguments {
        PathArguments::AngleBracketed(arguments) => {
            arguments.args.iter().find_map(|argument| match argument {
                GenericArgument::Type(ty) => Some(ty),
                _ => None,
            })
        }
        _ => None,
    };
    Some((last.ident.to_string(), first))
}

/// What is boxed by `Box::pin(...)`; by `....boxed()` or `....boxed_local()` all of it, as what comes before the last dot may be no future.
fn boxed(expression: &mut Expr) -> Option<&mut Expr> {
    if matches!(expression, Expr::MethodCall(call) if is_boxing(call)) {
        return Some(expression);
    }
    let Expr::Call(call) = expression else { return None };
    let Expr::Path(function) = &*call.func else { return None };
    let mut segments = function.path.segments.iter().rev();
    let is_it = call.args.len() == 1
        && segments.next()?.ident == "pin"
        && segments.next().is_some_and(|ty| ty.ident == "Box" && ty.arguments.is_none());
    call.args.first_mut().filter(|_| is_it)
}

fn is_boxing(call: &ExprMethodCall) -> bool {
    call.args.is_empty() && (call.method == "boxed" || call.method == "boxed_local")
}

/// Whether it is there on some platforms only, where something else is the last expression on others.
fn is_conditional(expression: &Expr) -> bool {
    let mut tokens = expression.to_token_stream().into_iter();
    while let (Some(TokenTree::Punct(pound)), Some(TokenTree::Group(group))) =
        (tokens.next(), tokens.next())
        && pound.as_char() == '#'
    {
        let name = group.stream().into_iter().next();
        if name.is_some_and(|name| name.to_string().starts_with("cfg")) {
            return true;
        }
    }
    false
}

/// Whether `each` says so of whatever a function is left with by a `return`, as far as that can be seen.
fn for_each_return(statements: &mut [Stmt], each: impl FnMut(&mut Expr) -> bool) -> bool {
    struct Returns<F> {
        each: F,
        all: bool,
    }
    impl<F: FnMut(&mut Expr) -> bool> VisitMut for Returns<F> {
        fn visit_expr_return_mut(&mut self, leaves: &mut ExprReturn) {
            visit_mut::visit_expr_return_mut(self, leaves);
            self.all &= leaves.expr.as_mut().is_some_and(|returned| (self.each)(returned));
        }
        fn visit_macro_mut(&mut self, mac: &mut syn::Macro) {
            self.all &= !mentions_return(mac.tokens.clone());
        }
        fn visit_expr_closure_mut(&mut self, _: &mut syn::ExprClosure) {}
        fn visit_expr_async_mut(&mut self, _: &mut syn::ExprAsync) {}
        fn visit_item_mut(&mut self, _: &mut syn::Item) {}
    }
    let mut returns = Returns { each, all: true };
    statements.iter_mut().for_each(|statement| returns.visit_stmt_mut(statement));
    returns.all
}

fn mentions_return(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(word) => word == "return",
        TokenTree::Group(group) => mentions_return(group.stream()),
        _ => false,
    })
}
