/** CEL expressions as the trees that Envoy's RBAC accepts (google.api.expr.v1alpha1.Expr, proto3 JSON). */

export type CelTree = Readonly<Record<string, unknown>>;

export const ident = (name: string): CelTree => ({ ident_expr: { name } });
export const double = (value: number): CelTree => ({ const_expr: { double_value: value } });
export const integer = (value: number): CelTree => ({ const_expr: { int64_value: String(value) } });
export const string = (value: string): CelTree => ({ const_expr: { string_value: value } });
export const field = (operand: CelTree, name: string): CelTree => ({ select_expr: { operand, field: name } });
export const call = (name: string, ...args: readonly CelTree[]): CelTree => ({ call_expr: { function: name, args } });
export const at = (operand: CelTree, key: string): CelTree => call("_[_]", operand, string(key));
export const both = (first: CelTree, second: CelTree): CelTree => call("_&&_", first, second);
export const anyOf = (first: CelTree, ...more: readonly CelTree[]): CelTree =>
	more.reduce((all, next) => call("_||_", all, next), first);
