//! Match conditions of webhooks: expressions in CEL, evaluated as API servers do.
//!
//! An expression is evaluated only if all of it is known: the variables, the functions, and the fields of the request. API servers
//! provide more than the crate `cel` and a live object do, and a guess would be wrong exactly when it matters.

use std::collections::HashMap;
use std::sync::Arc;

use cel::common::ast::operators as op;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr};
use cel::objects::{Key, Map};
use cel::{Context, ExecutionError, IdedExpr, Program, Value};
use serde::Deserialize;
use serde_json::Value as Json;

use super::answer::Answer;

/// An entry of `matchConditions`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct MatchCondition {
    /// The name.
    pub name: String,
    /// The expression.
    pub expression: String,
}

/// The variables of the expressions.
pub struct Variables {
    context: Context<'static, 'static>,
}

/// Functions and macros that the crate evaluates as Kubernetes does.
const FUNCTIONS: [&str; 31] = [
    op::CONDITIONAL,
    op::LOGICAL_AND,
    op::LOGICAL_OR,
    op::LOGICAL_NOT,
    op::SUBSTRACT,
    op::ADD,
    op::MULTIPLY,
    op::DIVIDE,
    op::MODULO,
    op::EQUALS,
    op::NOT_EQUALS,
    op::GREATER_EQUALS,
    op::LESS_EQUALS,
    op::GREATER,
    op::LESS,
    op::NEGATE,
    op::INDEX,
    op::NOT_STRICTLY_FALSE,
    op::IN,
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "type",
    "string",
    "int",
    "double",
    "bool",
    "dyn",
    "uint",
];

/// A function of this module, which the argument of each `string` is passed through: the crate writes large and small doubles in
/// another form than Kubernetes.
const DOUBLE_TEXT: &str = "colocate_double_text";

/// The exponent from which `%g` of Go writes one.
const SHORTEST_PRECISION: i32 = 6;

/// The names of types.
const TYPES: [&str; 9] = ["bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type"];

/// The fields of `request` that are known without the original request.
const REQUEST_FIELDS: [&str; 10] = [
    "kind",
    "resource",
    "subResource",
    "requestKind",
    "requestResource",
    "requestSubResource",
    "name",
    "namespace",
    "operation",
    "dryRun",
];

/// Fields of objects that an API server sets itself. The values that webhooks saw are not known.
const SERVER_FIELDS: [&str; 7] =
    ["uid", "creationTimestamp", "resourceVersion", "generation", "managedFields", "deletionTimestamp", "status"];

/// The fields of an object that a condition may read and that never change after its creation.
const FIXED_FIELDS: [&str; 4] =
    ["object.spec.", "object.metadata.name", "object.metadata.namespace", "object.metadata.generateName"];

impl MatchCondition {
    /// Returns true if the expression certainly reads only what never changes after the creation of a pod, or what is recorded in
    /// `managedFields` if it changes.
    pub fn reads_fixed_fields(&self) -> bool {
        let rest = FIXED_FIELDS.iter().fold(self.expression.clone(), |rest, field| rest.replace(field, "("));
        // Gates are removed, which leaves no time.
        let reads_object = rest.replace("oldObject", "").contains("object");
        !reads_object && !rest.contains("schedulingGates")
    }
}

impl Variables {
    /// Creates the variables of the creation of `object`.
    pub fn of_creation(object: &Json, request: &Json) -> Self {
        let mut context = Context::default();
        context.add_variable_from_value("object", value(object));
        context.add_variable_from_value("oldObject", Value::Null);
        context.add_variable_from_value("request", value(request));
        // An expression with a function that is not declared is not evaluated.
        let _ = context.add_function(DOUBLE_TEXT, double_text);
        Self { context }
    }
}

impl MatchCondition {
    /// Evaluates the condition. If the evaluation fails, an API server applies the `failurePolicy`; the answer is then not
    /// known, because the object may have been another one.
    pub fn evaluate(&self, variables: &Variables) -> Answer {
        let Self { name, expression } = self;
        let unknown = |why: &str| Answer::NotEvaluated(format!("the match condition `{name}` {why}"));
        let Ok(program) = Program::compile(expression) else {
            return unknown("cannot be evaluated: optional syntax and extensions of CEL are not supported");
        };
        if let Some(what) = unsupported(program.expression(), &mut Vec::new()) {
            return unknown(&format!("uses {what}"));
        }
        let mut expression = program.expression().clone();
        write_doubles_as_kubernetes(&mut expression);
        match Value::resolve(&expression, &variables.context) {
            Ok(Value::Bool(true)) => Answer::Yes,
            Ok(Value::Bool(false)) => Answer::No(format!("the match condition `{name}` is false")),
            Ok(_) => unknown("is not a boolean"),
            Err(ExecutionError::NoSuchKey(key)) => unknown(&format!("reads `{key}`, which does not exist")),
            Err(_) => unknown("cannot be evaluated"),
        }
    }
}

/// Finds what cannot be evaluated reliably, and describes it. `local` has the variables of the enclosing macros.
fn unsupported<'e>(expression: &'e IdedExpr, local: &mut Vec<&'e str>) -> Option<String> {
    match &expression.expr {
        Expr::Unspecified | Expr::Struct(_) => Some("a part that is not known".to_owned()),
        Expr::Literal(_) => None,
        Expr::Ident(name) => {
            let known = ["object", "oldObject"].contains(&&**name) || TYPES.contains(&&**name);
            (!known && !local.contains(&&**name)).then(|| format!("`{name}`"))
        }
        Expr::Select(select) => match &select.operand.expr {
            Expr::Ident(name) if name == "request" && !local.contains(&"request") => {
                let known = REQUEST_FIELDS.contains(&&*select.field);
                (!known).then(|| format!("`request.{}`", select.field))
            }
            _ if SERVER_FIELDS.contains(&&*select.field) => {
                Some(format!("`{}`, which the API server sets", select.field))
            }
            _ => unsupported(&select.operand, local),
        },
        Expr::Call(call) => {
            if !FUNCTIONS.contains(&&*call.func_name) {
                return Some(format!("the function `{}`", call.func_name));
            }
            call.target.iter().map(AsRef::as_ref).chain(&call.args).find_map(|part| unsupported(part, local))
        }
        Expr::List(list) => {
            if !list.optional_indices.is_empty() {
                return Some("optional elements".to_owned());
            }
            list.elements.iter().find_map(|element| unsupported(element, local))
        }
        Expr::Map(map) => map.entries.iter().find_map(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) if !entry.optional => {
                unsupported(&entry.key, local).or_else(|| unsupported(&entry.value, local))
            }
            _ => Some("optional entries".to_owned()),
        }),
        Expr::Comprehension(macro_) => {
            if macro_.iter_var2.is_some() {
                return Some("a macro with two variables".to_owned());
            }
            unsupported(&macro_.iter_range, local).or_else(|| {
                let outer = local.len();
                local.extend([&*macro_.iter_var, &*macro_.accu_var]);
                let parts = [&macro_.accu_init, &macro_.loop_cond, &macro_.loop_step, &macro_.result];
                let found = parts.into_iter().find_map(|part| unsupported(part, local));
                local.truncate(outer);
                found
            })
        }
    }
}

/// Passes the argument of each `string` through [`DOUBLE_TEXT`].
fn write_doubles_as_kubernetes(expression: &mut IdedExpr) {
    match &mut expression.expr {
        Expr::Unspecified | Expr::Struct(_) | Expr::Literal(_) | Expr::Ident(_) => {}
        Expr::Select(select) => write_doubles_as_kubernetes(&mut select.operand),
        Expr::Call(call) => {
            call.target.iter_mut().for_each(|target| write_doubles_as_kubernetes(target));
            call.args.iter_mut().for_each(write_doubles_as_kubernetes);
            if call.func_name == "string" {
                for argument in &mut call.args {
                    let id = argument.id;
                    let inner = std::mem::take(argument);
                    let call = CallExpr { func_name: DOUBLE_TEXT.to_owned(), target: None, args: vec![inner] };
                    *argument = IdedExpr { id, expr: Expr::Call(call) };
                }
            }
        }
        Expr::List(list) => list.elements.iter_mut().for_each(write_doubles_as_kubernetes),
        Expr::Map(map) => {
            for entry in &mut map.entries {
                if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                    write_doubles_as_kubernetes(&mut entry.key);
                    write_doubles_as_kubernetes(&mut entry.value);
                }
            }
        }
        Expr::Comprehension(comprehension) => {
            let ComprehensionExpr { iter_range, accu_init, loop_cond, loop_step, result, .. } = &mut **comprehension;
            for part in [iter_range, accu_init, loop_cond, loop_step, result] {
                write_doubles_as_kubernetes(part);
            }
        }
    }
}

/// Writes a double as `%g` of Go, as the CEL of Kubernetes does, and returns all other values as they are.
fn double_text(value: Value) -> Value {
    let Value::Float(number) = value else { return value };
    // The shortest digits that identify the number, with an exponent: `1.5e20`.
    let digits = format!("{number:e}");
    let exponent = digits.split_once('e').and_then(|(digits, exponent)| Some((digits, exponent.parse::<i32>().ok()?)));
    let text = match exponent {
        Some((digits, exponent)) if !(-4..SHORTEST_PRECISION).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        None if number.is_infinite() => if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned(),
        _ => number.to_string(),
    };
    Value::String(Arc::new(text))
}

/// Converts JSON as API servers do: whole numbers are of the type `int`.
fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => match number.as_i64() {
            Some(number) => Value::Int(number),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::String(Arc::new(text.clone())),
        Json::Array(items) => Value::List(Arc::new(items.iter().map(value).collect())),
        Json::Object(fields) => {
            let entry = |(key, field): (&String, &Json)| (Key::String(Arc::new(key.clone())), value(field));
            Value::Map(Map { map: Arc::new(fields.iter().map(entry).collect::<HashMap<_, _>>()) })
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn evaluate(expression: &str) -> Answer {
        let object = json!({
            "metadata": {"name": "a", "labels": {"tier": "db"}},
            "spec": {"replicas": 3, "weight": 0.5, "volumes": [{"name": "data"}, {"csi": {"driver": "d"}}]},
        });
        let request = json!({"operation": "CREATE", "namespace": "team", "resource": {"resource": "pods"}});
        let condition = MatchCondition { name: "c".to_owned(), expression: expression.to_owned() };
        condition.evaluate(&Variables::of_creation(&object, &request))
    }

    #[test]
    fn known_expressions_are_evaluated() {
        for (expression, expected) in [
            ("true", true),
            ("request.operation == 'CREATE' && request.namespace.startsWith('te')", true),
            ("request.resource.resource in ['pods', 'jobs']", true),
            ("has(object.spec.volumes) && object.spec.volumes.exists(v, has(v.csi) && v.csi.driver == 'd')", true),
            ("object.spec.volumes.all(v, has(v.name))", false),
            ("object.spec.volumes.filter(v, has(v.name)).map(v, v.name) == ['data']", true),
            ("object.spec.volumes.exists_one(v, has(v.csi))", true),
            ("!has(object.metadata.annotations) || object.metadata.annotations['a'] == 'b'", true),
            ("object.spec.replicas == 3 && object.spec.replicas > 2 && size(object.spec.volumes) == 2", true),
            ("object.spec.weight < 1.0", true),
            ("oldObject == null", true),
            ("'tier' in object.metadata.labels && type(object.metadata.labels) == map", true),
            ("type(object.metadata.name) == list", false),
            ("object.metadata.labels.tier.matches('^d.$')", true),
            ("(has(object.spec.none) ? object.spec.none : {}) != {}", false),
            // One side decides, although the other fails.
            ("object.spec.none == 1 || true", true),
            ("object.spec.none == 1 && false", false),
            (
                "string(object.spec.weight) == '0.5' && string(object.spec.replicas) == '3' && string(true) == 'true'",
                true,
            ),
            ("string(1e6) == '1e+06' && {'a': [string(1.5e20)]}.a == ['1.5e+20']", true),
            ("['a'].exists(a, string(1e-5) == '1e-05' && string(a) == 'a')", true),
            ("string(1e6) == '1000000'", false),
        ] {
            let expected =
                if expected { Answer::Yes } else { Answer::No("the match condition `c` is false".to_owned()) };
            assert_eq!(evaluate(expression), expected, "{expression}");
        }
    }

    #[test]
    fn what_is_not_known_is_named_and_never_guessed() {
        for (expression, why) in [
            ("authorizer.group('').resource('pods').check('get').allowed()", "uses the function `allowed`"),
            ("has(authorizer.path)", "uses `authorizer`"),
            ("request.userInfo.username != 'system:node'", "uses `request.userInfo`"),
            ("has(request.options)", "uses `request.options`"),
            ("request['userInfo'] == 1", "uses `request`"),
            ("namespaceObject.metadata.name == 'a'", "uses `namespaceObject`"),
            ("variables.a", "uses `variables`"),
            (
                "object.?spec.?none.orValue(1) == 1",
                "cannot be evaluated: optional syntax and extensions of CEL are not supported",
            ),
            ("object.metadata.uid != ''", "uses `uid`, which the API server sets"),
            ("quantity('1Gi').isGreaterThan(quantity('1Mi'))", "uses the function `isGreaterThan`"),
            ("object.metadata.name.lowerAscii() == 'a'", "uses the function `lowerAscii`"),
            ("object.spec.none == 1", "reads `none`, which does not exist"),
            // API servers omit an empty subresource: the same error on a kube-apiserver.
            ("request.subResource == ''", "reads `subResource`, which does not exist"),
            ("size(object.metadata.name)", "is not a boolean"),
            ("optional.of(object).hasValue()", "uses the function `hasValue`"),
        ] {
            let expected = Answer::NotEvaluated(format!("the match condition `c` {why}"));
            assert_eq!(evaluate(expression), expected, "{expression}");
        }
    }

    #[test]
    fn labels_and_annotations_are_not_fixed() {
        for (expression, expected) in [
            ("has(object.spec.volumes) && object.spec.volumes.exists(v, has(v.csi))", true),
            ("request.operation == 'CREATE' && oldObject == null && object.metadata.name == 'a'", true),
            ("has(object.metadata.labels)", false),
            ("object.metadata.annotations['a'] == 'b'", false),
            ("object['metadata']['labels']['a'] == 'b'", false),
            ("object.metadata.exists(k, k == 'labels')", false),
            ("has(object.spec.schedulingGates)", false),
            ("[object].exists(o, has(o.metadata.labels))", false),
        ] {
            let condition = MatchCondition { name: "c".to_owned(), expression: expression.to_owned() };
            assert_eq!(condition.reads_fixed_fields(), expected, "{expression}");
        }
    }

    #[test]
    fn doubles_are_written_as_by_go() {
        // The output of `fmt.Printf("%g")`.
        for (number, expected) in [
            (5.0, "5"),
            (0.0, "0"),
            (-0.0, "-0"),
            (0.1, "0.1"),
            (0.0001, "0.0001"),
            (1.5e-5, "1.5e-05"),
            (-2.5e-7, "-2.5e-07"),
            (5e-324, "5e-324"),
            (100_000.0, "100000"),
            (999_999.5, "999999.5"),
            (1e6, "1e+06"),
            (1_234_567.0, "1.234567e+06"),
            (1e100, "1e+100"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(double_text(Value::Float(number)), Value::String(Arc::new(expected.to_owned())));
        }
        assert_eq!(double_text(Value::Int(1_000_000)), Value::Int(1_000_000));
    }

    #[test]
    fn a_variable_of_a_macro_hides_that_of_the_request() {
        assert_eq!(evaluate("object.spec.volumes.exists(request, has(request.csi))"), Answer::Yes);
        let outside = evaluate("object.spec.volumes.exists(v, has(v.csi)) && v == 1");
        assert_eq!(outside, Answer::NotEvaluated("the match condition `c` uses `v`".to_owned()));
    }
}
