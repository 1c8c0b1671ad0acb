import { qualifiedText } from "../../declare/resources/resource.js";

/** `-n`: the namespace of names on the command line without one. */
export interface NamespaceArgument {
	readonly namespace?: string;
}

/** NAMESPACE/NAME takes precedence over `-n`. */
export function nameIn(name: string, { namespace }: NamespaceArgument): string {
	return qualifiedText(namespace === undefined || name.includes("/") ? name : `${namespace}/${name}`);
}
