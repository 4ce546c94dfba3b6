"""schema.py - the JSON Schema of a topic says what ferry's decoder does: checked by python-jsonschema.

    schema.py TYPED_JUDGE

Each schema must be valid (draft 2020-12).  Then ferry and the validator judge the same payloads: those of
payloads.h and the model, and every one that follows from a sound payload by putting another value in the
place of one of its values, or by removing one of its members.  They must agree, with two exceptions:

- Bytes that are no JSON for ferry never reach a schema.  Most are none for Python either; for the others
  class NotJson gives the reasons.
- A JSON Schema takes 1.0 for an integer.  ferry wants an integer written as one, because a double does not
  hold each of 64 bits.
"""

import copy
import json
import math
import subprocess
import sys

import jsonschema

JUDGE = sys.argv[1]

# What is put in the place of a value.
OTHERS = [None, True, False, 0, 1, -1, 2, 7, 1.0, 0.5, -0.25, 99.75, 101, 128, 255, 256, 1000, 1001, 32768,
          65536, 2147483648, 1e300, 1000000, 1000001, 9223372036854775807, -9223372036854775808, "", "a",
          "EUR", "eur", "x" * 5, "\u00f6" * 6, "x" * 8, "x" * 9, "x" * 12, "x" * 13, "x" * 20, "x" * 21,
          "x" * 30, "x" * 31, [], [1], ["a"], ["a", "b", "c", "d"], [{}], [None], {},
          {"street": "S", "city": "C"}, {"value": 1}]


class NotJson(Exception):
    """What Python's parser takes, and ferry, within its rights by RFC 8259, does not."""
    REASONS = ("a key twice", "an integer of more than 64 bits", "a number that no double holds", "NaN",
               "U+0000", "half a surrogate pair", "more than 64 levels")


def members(pairs):
    if len({key for key, _ in pairs}) < len(pairs):
        raise NotJson("a key twice")
    for key, _ in pairs:
        check(key, 0)
    return dict(pairs)


def integer(text):
    if not -2**63 <= int(text) < 2**63:
        raise NotJson("an integer of more than 64 bits")
    return int(text)


def real(text):
    if math.isinf(float(text)):
        raise NotJson("a number that no double holds")
    return float(text)


def constant(_):
    raise NotJson("NaN")


def check(value, depth):
    if isinstance(value, str) and "\0" in value:
        raise NotJson("U+0000")
    if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        raise NotJson("half a surrogate pair")
    if isinstance(value, (list, dict)):
        if depth == 64:
            raise NotJson("more than 64 levels")
        for inner in value.values() if isinstance(value, dict) else value:
            check(inner, depth + 1)


def parse(payload):
    value = json.loads(payload.decode("utf-8"), object_pairs_hook=members, parse_int=integer,
                       parse_float=real, parse_constant=constant)
    check(value, 0)
    return value


def changed(value):
    """Each document in which one value of `value` is another, or one member is missing."""
    yield from OTHERS
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in inside:
        for other in changed(member):
            whole = copy.copy(value)
            whole[key] = other
            yield whole
        whole = copy.copy(value)
        del whole[key]
        yield whole


def run(what, lines=()):
    done = subprocess.run([JUDGE, what], input="".join(lines).encode(), stdout=subprocess.PIPE, check=True)
    return done.stdout.decode().splitlines(keepends=True)


def parts(line):
    topic, digits = line.rstrip("\n").split(" ")
    return topic, bytes.fromhex(digits)


def read_schemas():
    validators = {}
    for line in run("schemas"):
        topic, text = line.split(" ", 1)
        schema = json.loads(text)
        jsonschema.Draft202012Validator.check_schema(schema)
        validators[topic] = jsonschema.Draft202012Validator(schema)
    return validators


def make_payloads():
    lines = run("payloads")
    for line, verdict in list(zip(lines, run("verdicts", lines))):
        topic, payload = parts(line)
        if verdict == "ok\n":
            for document in changed(json.loads(payload)):
                text = json.dumps(document, ensure_ascii=False)
                lines.append("%s %s\n" % (topic, text.encode().hex()))
    return sorted(set(lines))


def compare(validator, payload, verdict):
    """What was compared; or a complaint, with an exclamation mark."""
    names_byte = ": byte " in verdict
    try:
        document = parse(payload)
    except (ValueError, NotJson) as why:
        reason = str(why) if isinstance(why, NotJson) else "no JSON"
        return reason if names_byte else "! %s, and ferry says %s" % (reason, verdict)
    errors = [error.message for error in validator.iter_errors(document)]
    if "expected integer, got real number" in verdict and not errors:
        return "a whole number written as a real one"
    # At the top ferry names the byte: there is no field.
    if (verdict == "ok") == bool(errors) or (names_byte and isinstance(document, dict)):
        return "! ferry: %s; the schema: %s" % (verdict, errors)
    return "refused by both" if errors else "accepted by both"


def main():
    validators = read_schemas()
    lines = make_payloads()
    verdicts = run("verdicts", lines)
    counts = dict.fromkeys(NotJson.REASONS, 0)
    complaints = 0
    for line, verdict in zip(lines, verdicts):
        topic, payload = parts(line)
        found = compare(validators[topic], payload, verdict.rstrip("\n"))
        if found.startswith("!"):
            complaints += 1
            print(payload, found)
        else:
            counts[found] = counts.get(found, 0) + 1
    for what, count in counts.items():
        print("%6d %s" % (count, what))
    if complaints or len(verdicts) != len(lines):
        sys.exit("%d payloads are judged differently" % complaints)
    if min(counts.values()) == 0 or min(counts["accepted by both"], counts["refused by both"]) < 1000:
        sys.exit("too few payloads were compared")


main()
