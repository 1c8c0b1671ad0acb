/** Parses the route's context (compile/envoy/calloutContext.ts), which both protocols transmit. */
import { CONTEXT } from "../../compile/envoy/calloutContext.js";
import type { NativeAssignment, Question } from "./question.js";

export type RouteContext = Pick<Question, "plan" | "service" | "gateway" | "exposeArm" | "assigned">;

/** @param value of a key of CONTEXT; null or empty = absent */
export function routeContext(value: (key: string) => string | null): RouteContext {
	const given = (key: string): string | null => value(key) || null;
	const variant = given(CONTEXT.variant);
	const assigned: NativeAssignment | null =
		variant === null ? null : { experiment: given(CONTEXT.experiment), arm: given(CONTEXT.arm), variant };
	return {
		plan: given(CONTEXT.plan),
		service: given(CONTEXT.service),
		gateway: given(CONTEXT.gateway),
		exposeArm: value(CONTEXT.expose) === "1",
		assigned,
	};
}
