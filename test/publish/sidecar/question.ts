/** Questions for tests of the pure decision: a plain object, every field changeable. */
import type { Question } from "../../../src/publish/sidecar/question.js";

export interface QuestionFields extends Partial<Omit<Question, "header" | "headerValues">> {
	/** Request headers, lower case; a repeated one has several values. */
	readonly headers?: Readonly<Record<string, readonly string[] | string>>;
}

export function question(fields: QuestionFields = {}): Question {
	const { headers = {}, ...rest } = fields;
	const values = (name: string): readonly string[] => {
		const found = headers[name];
		return found === undefined ? [] : typeof found === "string" ? [found] : found;
	};
	return {
		plan: "plan-1",
		service: "shop",
		gateway: null,
		host: "shop.test",
		method: "GET",
		path: "/",
		principal: null,
		sourceAddress: null,
		certificateThumbprint: null,
		secure: false,
		assigned: null,
		exposeArm: true,
		...rest,
		header: (name) => (values(name).length === 0 ? null : values(name).join(",")),
		headerValues: values,
	};
}

/** Defaults for the inputs of the decision other than tables. */
export const NOBODY_ASKED = { nowMs: () => 0, verifyToken: null, sign: null } as const;
