//! The memory in the diagnostics: the budget, what follows from it, what is shed.

use serde_json::{Value, json};

use crate::proxy::overload::{Limit, Overload};

/// What there is to tell; `null` without a budget.
pub(super) fn describe(overload: &Overload) -> Value {
    let Some(now) = overload.snapshot() else { return Value::Null };
    let limit = |limit: Limit| json!({ "name": limit.name, "value": limit.value, "source": limit.source.as_str() });
    let step = |(action, is_active, times): (&str, bool, u64)| json!({ "action": action, "active": is_active, "times": times });
    json!({
        "budget_bytes": now.budget,
        "budget_source": now.source.as_str(),
        "used_bytes": now.used,
        "of_bytes": now.of,
        "percent": now.percent(),
        "shedding": now.level.as_str(),
        "limits": now.limits.map(limit),
        "steps": now.steps.map(step),
    })
}
