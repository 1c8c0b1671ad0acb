/** Parameters of an arm, sent to the upstream as request headers `x-weir-param-NAME`. */
import { z } from "zod";
import { withHint } from "./strict.js";

/** Parameters of one arm: each is a request header of every request of the arm. */
export const PARAMETERS_MAX = 16;

const NAME = /^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$/;
const HINT = 'write a mapping of names to texts, such as {temperature: "0.2"}';
const NAME_HINT = "write lower-case letters, digits and hyphens, at most 64";
const VALUE_HINT = "write a quoted text of at most 1024 printable ASCII characters, without blanks at its ends";

export const parameters = z
	.record(z.string(), z.string({ error: VALUE_HINT }), { error: HINT })
	.superRefine((value, context) => {
		for (const [name, text] of Object.entries(value)) {
			const report = (what: string, hint: string): void =>
				context.addIssue({ code: "custom", path: [name], message: withHint(what, hint) });
			if (!NAME.test(name)) report("is no name of a parameter", NAME_HINT);
			if (!/^[!-~]([ -~]{0,1022}[!-~])?$/.test(text)) report("is no value of a parameter", VALUE_HINT);
		}
		if (Object.keys(value).length > PARAMETERS_MAX) {
			context.addIssue({
				code: "custom",
				message: withHint("has too many parameters", `write at most ${PARAMETERS_MAX}`),
			});
		}
	})
	.default({})
	.meta({
		description:
			"Parameters sent to the Variant as request headers x-weir-param-NAME. Only for an Experiment without a goal.",
	});
