import { qualifiedText } from "../../declare/resources/resource.js";

/** `-n`: the namespace of names on the command line that say none. */
export interface NamespaceArgument {
	readonly namespace?: string;
}

/** NAMESPACE/NAME says its own, whatever `-n` says. */
export function nameIn(name: string, { namespace }: NamespaceArgument): string {
	return qualifiedText(namespace === undefined || name.includes("/") ? name : `${namespace}/${name}`);
}
