//! Functions that are not `async` and return a future all the same.

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::Visit;
use syn::{
    Expr, ExprReturn, GenericArgument, PathArguments, ReturnType, Signature, Stmt, Type,
    TypeParamBound,
};

/// The future that a function returns, where it is made: `None` if it returns something else, or makes it elsewhere.
pub(crate) fn returned<'s>(
    signature: &Signature,
    statements: &'s mut [Stmt],
) -> Option<&'s mut Expr> {
    let ReturnType::Type(_, ty) = &signature.output else { return None };
    // All that is returned has one type: if one expression of several were wrapped they would differ.
    let is_plain = is_impl_future(ty) && !statements.iter().any(returns);
    let Some(Stmt::Expr(last, None)) = statements.last_mut() else { return None };
    if is_plain {
        return Some(last);
    }
    if is_boxed_future(ty) { boxed(last) } else { None }
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

/// What is boxed by `Box::pin(...)`, `....boxed()` or `....boxed_local()`.
fn boxed(expression: &mut Expr) -> Option<&mut Expr> {
    match expression {
        Expr::Call(call) if call.args.len() == 1 => {
            let Expr::Path(function) = &*call.func else { return None };
            let mut names = function.path.segments.iter().rev().map(|s| &s.ident);
            let is_it = names.next()? == "pin" && names.next()? == "Box";
            call.args.first_mut().filter(|_| is_it)
        }
        Expr::MethodCall(call) if call.args.is_empty() => {
            let is_it = call.method == "boxed" || call.method == "boxed_local";
            is_it.then_some(&mut *call.receiver)
        }
        _ => None,
    }
}

/// Whether the function may be left by a `return` in this.
fn returns(statement: &Stmt) -> bool {
    struct Find(bool);
    impl<'ast> Visit<'ast> for Find {
        fn visit_expr_return(&mut self, _: &'ast ExprReturn) {
            self.0 = true;
        }
        fn visit_expr_closure(&mut self, _: &'ast syn::ExprClosure) {}
        fn visit_expr_async(&mut self, _: &'ast syn::ExprAsync) {}
        fn visit_item(&mut self, _: &'ast syn::Item) {}
        // What else is in there is not known.
        fn visit_macro(&mut self, mac: &'ast syn::Macro) {
            self.0 |= mentions_return(mac.tokens.clone());
        }
    }
    let mut find = Find(false);
    find.visit_stmt(statement);
    find.0
}

fn mentions_return(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(word) => word == "return",
        TokenTree::Group(group) => mentions_return(group.stream()),
        _ => false,
    })
}
