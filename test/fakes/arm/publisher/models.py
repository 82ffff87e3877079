"""Reads the models of Azure's Python packages out of their wheels, without running them, and prints what each class has.

Two generations of them are read: classes whose attributes are `rest_field(...)`, and those with an `_attribute_map`.
usage: models.py WHEEL...    prints {package: {"classes": {...}, "enums": {...}}} as JSON
"""

import ast
import json
import re
import sys
import zipfile


def main():
    read = {}
    for wheel in sys.argv[1:]:
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                match = re.fullmatch(r"azure/mgmt/(.*?)/?models/(_models|_models_py3|_enums|_\w+_enums)\.py", name)
                if match is None or match.group(1).startswith("aio"):
                    continue
                package = match.group(1).strip("/")
                entry = read.setdefault(package, {"classes": {}, "enums": {}})
                for node in ast.parse(archive.read(name)).body:
                    if not isinstance(node, ast.ClassDef):
                        continue
                    if "enum" in match.group(2):
                        entry["enums"][node.name] = enum_values(node)
                    else:
                        entry["classes"][node.name] = class_of(node)
    json.dump(read, sys.stdout)


def enum_values(node):
    return [
        statement.value.value
        for statement in node.body
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant)
    ]


def class_of(node):
    result = {"bases": [last_name(base) for base in node.bases], "fields": {}, "subtypes": {}, "property": None}
    validation = {}
    for statement in node.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            target = statement.targets[0].id
            if target == "_validation":
                validation = ast.literal_eval(statement.value)
            elif target == "_attribute_map":
                result["fields"] = mapped_fields(ast.literal_eval(statement.value), validation)
            elif target == "_subtype_map":
                for attribute, subtypes in ast.literal_eval(statement.value).items():
                    result["property"], result["subtypes"] = attribute, subtypes
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.value, ast.Call):
            call = last_name(statement.value.func)
            if call in ("rest_field", "rest_discriminator"):
                name, field = rest_field(statement)
                result["fields"][name] = field
    return result


def rest_field(statement):
    keywords = {keyword.arg: keyword.value for keyword in statement.value.keywords}
    name = keywords["name"].value if "name" in keywords else statement.target.id
    visibility = [entry.value for entry in keywords["visibility"].elts] if "visibility" in keywords else []
    read_only = visibility == ["read"]
    optional = ast.unparse(statement.annotation).startswith("Optional[")
    return name, field_of(annotation(statement.annotation), read_only, not optional)


def field_of(kind, read_only=False, required=False):
    return {"type": kind, "readOnly": read_only, "required": required and not read_only}


def annotation(node):
    if isinstance(node, ast.Constant):
        if node.value is None:
            return {"kind": "any"}
        return annotation(ast.parse(node.value, mode="eval").body)
    if isinstance(node, ast.Subscript):
        outer = last_name(node.value)
        inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if outer == "Optional":
            return annotation(inner[0])
        if outer in ("list", "List"):
            return {"kind": "list", "of": annotation(inner[0])}
        if outer in ("dict", "Dict"):
            return {"kind": "map", "of": annotation(inner[1])}
        if outer == "Union":
            named = [entry for entry in map(annotation, inner) if entry["kind"] == "class"]
            return named[0] if len(named) == 1 else {"kind": "any"}
        if outer == "Literal":
            return {"kind": "text"}
        return {"kind": "any"}
    name = last_name(node)
    plain = {"str": "text", "bool": "flag", "int": "integer", "float": "number"}
    if name in plain:
        return {"kind": plain[name]}
    if name in ("datetime", "timedelta", "date", "time"):
        return {"kind": "text"}
    return {"kind": "any"} if name in ("Any", "object", "JSON", "bytes") else {"kind": "class", "name": name}


def mapped_fields(attributes, validation):
    fields = {}
    for attribute, entry in attributes.items():
        if entry["key"] == "":
            fields["*"] = field_of({"kind": "any"})
            continue
        # `properties.name` is nested; `odata\.type` is one name with a dot in it.
        path = [part.replace("\\.", ".") for part in re.split(r"(?<!\\)\.", entry["key"])]
        level = fields
        for part in path[:-1]:
            level = level.setdefault(part, field_of({"kind": "inline", "fields": {}}))["type"]["fields"]
        rules = validation.get(attribute, {})
        level[path[-1]] = field_of(mapped_type(entry["type"]), rules.get("readonly", False), rules.get("required", False))
    return fields


def mapped_type(name):
    if name.startswith("["):
        return {"kind": "list", "of": mapped_type(name[1:-1])}
    if name.startswith("{"):
        return {"kind": "map", "of": mapped_type(name[1:-1])}
    plain = {"str": "text", "bool": "flag", "int": "integer", "long": "integer", "float": "number"}
    if name in plain:
        return {"kind": plain[name]}
    if name in ("iso-8601", "duration", "date", "rfc-1123", "bytearray"):
        return {"kind": "text"}
    return {"kind": "any"} if name == "object" else {"kind": "class", "name": name}


def last_name(node):
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


if __name__ == "__main__":
    main()
