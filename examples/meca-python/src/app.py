"""The task's door: POST / with {"input": [numbers]} is answered with their summary."""

import math
import statistics

from flask import Flask, jsonify, request

app = Flask(__name__)
# Printed while Flask still opens the port: whoever waits for a task waits for this line and for the port.
print("meca-init-done", flush=True)


@app.post("/")
def run():
    body = request.get_json(force=True)
    numbers = body.get("input") if isinstance(body, dict) else None
    if not isinstance(numbers, list) or not numbers or not all(map(is_number, numbers)):
        return jsonify(error='The body must be {"input": [numbers]} with at least one number'), 400
    return jsonify(summary(numbers))


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def summary(numbers):
    return {
        "count": len(numbers),
        "mean": statistics.fmean(numbers),
        "median": statistics.median(numbers),
        "spread": statistics.pstdev(numbers),
    }
