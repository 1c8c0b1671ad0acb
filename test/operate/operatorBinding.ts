/** RoleBindings of operators by their short names. */
import { operator } from "./mutualApi.js";

export const binding = (name: string, verbs: string, names: readonly string[], namespaces: string): string =>
	`apiVersion: weir.dev/v1alpha1
kind: RoleBinding
metadata: {name: ${name}}
spec: {verbs: [${verbs}], subjects: ${JSON.stringify(names.map(operator))}, namespaces: ${namespaces}}
`;
