/** The form of protobuf descriptors as test/fixtures/proto/check.py writes it to upstream.json, and its comparison. */
import {
	type DescriptorProto,
	type EnumDescriptorProto,
	type FieldDescriptorProto,
	FieldDescriptorProto_Label,
	FieldDescriptorProto_Type,
	type FileDescriptorProto,
} from "@bufbuild/protobuf/wkt";

type Members = Record<string, string | number>;

export interface Shape {
	/** Message to field to `NUMBER [repeated ]TYPE[ in ONEOF]`. */
	readonly messages: Record<string, Members>;
	readonly enums: Record<string, Members>;
	/** Service to method to `[stream ]REQUEST -> [stream ]RESPONSE`. */
	readonly services: Record<string, Members>;
}

export function shapeOf(files: readonly FileDescriptorProto[]): Shape {
	const shape: Shape = { messages: {}, enums: {}, services: {} };
	for (const file of files) {
		// The Workload API has no package.
		const prefix = file.package === "" ? "" : `${file.package}.`;
		addMessages(prefix, file.messageType, shape);
		addEnums(prefix, file.enumType, shape);
		for (const service of file.service) {
			shape.services[prefix + service.name] = Object.fromEntries(
				service.method.map(({ name, inputType, outputType, clientStreaming, serverStreaming }) => [
					name,
					`${clientStreaming ? "stream " : ""}${inputType.slice(1)} -> ${serverStreaming ? "stream " : ""}${outputType.slice(1)}`,
				]),
			);
		}
	}
	return shape;
}

/** One line for each difference of our descriptors from upstream's. */
export function drift(ours: Shape, upstream: Shape): readonly string[] {
	return (["messages", "enums", "services"] as const).flatMap((kind) =>
		Object.entries(ours[kind]).flatMap(([name, members]) => {
			const theirs = upstream[kind][name];
			if (theirs === undefined) return [`${name}: upstream has no such ${kind.slice(0, -1)}`];
			return Object.entries(members)
				.filter(([member, form]) => theirs[member] !== form)
				.map(([member, form]) => `${name}.${member}: ours is '${form}', upstream's is '${theirs[member]}'`);
		}),
	);
}

function addMessages(prefix: string, messages: readonly DescriptorProto[], shape: Shape): void {
	for (const message of messages) {
		const full = prefix + message.name;
		const maps = new Map(
			message.nestedType.filter((n) => n.options?.mapEntry).map((entry) => [`.${full}.${entry.name}`, entry]),
		);
		shape.messages[full] = Object.fromEntries(message.field.map((field) => [field.name, form(field, message, maps)]));
		addEnums(`${full}.`, message.enumType, shape);
		addMessages(
			`${full}.`,
			message.nestedType.filter((nested) => !nested.options?.mapEntry),
			shape,
		);
	}
}

function addEnums(prefix: string, enums: readonly EnumDescriptorProto[], shape: Shape): void {
	for (const { name, value } of enums) {
		shape.enums[prefix + name] = Object.fromEntries(value.map(({ name, number }) => [name, number]));
	}
}

function form(
	field: FieldDescriptorProto,
	message: DescriptorProto,
	maps: ReadonlyMap<string, DescriptorProto>,
): string {
	const entry = maps.get(field.typeName);
	if (entry !== undefined) return `${field.number} map<${entry.field.map(typeOf).join(", ")}>`;
	const repeated = field.label === FieldDescriptorProto_Label.REPEATED ? "repeated " : "";
	const oneof = message.oneofDecl[Object.hasOwn(field, "oneofIndex") ? field.oneofIndex : -1];
	return `${field.number} ${repeated}${typeOf(field)}${oneof === undefined ? "" : ` in ${oneof.name}`}`;
}

const typeOf = ({ type, typeName }: FieldDescriptorProto): string =>
	typeName.slice(1) || FieldDescriptorProto_Type[type].toLowerCase();
