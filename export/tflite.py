"""TFLite files: from a SavedModel to float32, and from float32 to each recipe."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.errors import TmgcError, first_line
from edge_runtime.interpreters import ModelInput
from export.frontend import SCOPE
from export.metadata import tflite_operators
from export.recipes import DYNAMIC, FLOAT16, INT8, GraphOptions, Recipe, match_operators
from train.libraries import library

_SIGNATURE = "serving_default"


def convert(saved_model: Path, destination: Path) -> None:
    """Convert a SavedModel to a float32 TFLite file of builtin operators only.

    Raises
    ------
    TmgcError
        The network needs an operator that is not builtin, or that the converter does not know.
    """
    tensorflow = library("tensorflow", extra="export")
    converter = tensorflow.lite.TFLiteConverter.from_saved_model(str(saved_model))
    converter.target_spec.supported_ops = [tensorflow.lite.OpsSet.TFLITE_BUILTINS]
    try:
        content = converter.convert()
    except Exception as error:  # the converter's own error class is not public
        raise TmgcError(conversion_failure(error)) from error
    destination.write_bytes(content)


def conversion_failure(error: Exception) -> str:
    """Why the converter failed, in one line: the operators that it has no builtin for, or else its own message."""
    operators = foreign_operators(str(error))
    if operators:
        return (
            f"a TFLite file may contain builtin operators only, this network needs {', '.join(operators)}: replace the "
            "layers that use them and train again"
        )
    return (
        f"TensorFlow's converter cannot convert this network to TFLite ({first_line(error)}): replace the layer that "
        "it names and train again"
    )


def foreign_operators(message: str) -> list[str]:
    """Names of the operators that, according to the converter's message, have no builtin."""
    lists = re.findall(r"(?:Flex|Custom) ops: ([\w, ]+)", message)
    names = [name.strip() for names in lists for name in names.split(",")]
    return sorted({*filter(None, names)} or set(re.findall(r"\b(tf\.\w+)'? op\b", message)))


def quantize(
    float_file: Path,
    recipe: Recipe,
    calibration: ModelInput,
    destination: Path,
    options: GraphOptions = GraphOptions(),
) -> None:
    """Quantise a float32 TFLite file. Its input, its output and its spectrogram stay as they are.

    The softmax stays in float, since 256 steps are too few for probabilities, and so does the first convolution: the
    converter folds the scaling of the pixels into it, which leaves weights that round badly. On one trained
    InceptionResNetV2 that took the mean error of float16 to a third, for 0.01 % of the weights and no measurable time.
    In dynamic and static int8 it helped on one split and not on another: it stays float there for the sake of one rule.

    Parameters
    ----------
    float_file : Path
    recipe : Recipe
        Not float32.
    calibration : np.ndarray [shape=(n, ...)]
        Inputs of the file; used by static int8 only.
    destination : Path
    options : GraphOptions

    Raises
    ------
    TmgcError
        A pattern of ``keep_float`` matches no operator.
    """
    litert_recipe = _litert_recipe(recipe, float_file, options)
    quantizer = library("litert_quantizer.quantizer", extra="export").Quantizer(str(float_file), litert_recipe)
    ranges = None
    if recipe.calibrated:
        samples = [{options.input_kind: each[np.newaxis]} for each in calibration]
        ranges = quantizer.calibrate({_SIGNATURE: samples}, num_threads=2)
    result = quantizer.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
    destination.write_bytes(result.quantized_model)


def _litert_recipe(recipe: Recipe, float_file: Path, options: GraphOptions) -> Any:
    manager = library("litert_quantizer.recipe_manager", extra="export").RecipeManager()
    {FLOAT16.name: _add_float16, DYNAMIC.name: _add_dynamic, INT8.name: _add_static}[recipe.name](manager)
    types = library("litert_quantizer.qtyping", extra="export").TFLOperationName
    no_quantization = library("litert_quantizer.algorithm_manager", extra="export").AlgorithmName.NO_QUANTIZE
    scopes = operator_scopes(float_file)
    if first := next((scope for scope, type_ in scopes if type_ == "CONV_2D"), None):
        manager.add_quantization_config(re.escape(first), types.CONV_2D, None, no_quantization)
    match_operators(options.keep_float, [scope for scope, _ in scopes])
    for pattern in (f"^{SCOPE}/", *options.keep_float):
        manager.add_quantization_config(pattern, types.ALL_SUPPORTED, None, no_quantization)
    return manager.get_quantization_recipe()


def operator_scopes(float_file: Path) -> list[tuple[str, str]]:
    """The name by which litert-quantizer knows each operator, and the operator's type."""
    schema = library("ai_edge_litert.schema_py_generated", extra="export")
    scope_of = library("litert_quantizer.utils.tfl_flatbuffer_utils", extra="export").get_op_scope
    model = schema.ModelT.InitFromPackedBuf(float_file.read_bytes())
    tensors = model.subgraphs[0].tensors
    return [(scope_of(operator, tensors), type_) for type_, operator in tflite_operators(model)]


def _add_float16(manager: Any) -> None:
    types = library("litert_quantizer.qtyping", extra="export").TFLOperationName
    casting = library("litert_quantizer.algorithm_manager", extra="export").AlgorithmName.FLOAT_CASTING
    for operator in (types.CONV_2D, types.DEPTHWISE_CONV_2D, types.FULLY_CONNECTED):
        manager.add_weight_only_config(".*", operator, 16, algorithm_key=casting)


def _add_dynamic(manager: Any) -> None:
    types = library("litert_quantizer.qtyping", extra="export").TFLOperationName
    no_quantization = library("litert_quantizer.algorithm_manager", extra="export").AlgorithmName.NO_QUANTIZE
    manager.add_dynamic_config(".*", types.ALL_SUPPORTED, 8)
    # XNNPACK has no such kernel: each would split its part of the network. Their weights are few.
    manager.add_quantization_config(".*", types.DEPTHWISE_CONV_2D, None, no_quantization)


def _add_static(manager: Any) -> None:
    types = library("litert_quantizer.qtyping", extra="export").TFLOperationName
    no_quantization = library("litert_quantizer.algorithm_manager", extra="export").AlgorithmName.NO_QUANTIZE
    manager.add_static_config(".*", types.ALL_SUPPORTED, activation_num_bits=8, weight_num_bits=8)
    # XNNPACK has no int8 kernel for an average pool, which would split its part of the network.
    for operator in (types.INPUT, types.OUTPUT, types.SOFTMAX, types.AVERAGE_POOL_2D):
        manager.add_quantization_config(".*", operator, None, no_quantization)
