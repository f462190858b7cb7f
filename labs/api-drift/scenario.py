"""The calls of the guide and what each version is known to make of them.

A rule is ``name | versions | outcome``. Outcomes are ``works``,
``deprecated`` (works, and says that it will not for ever) or the type of
the error. Sources: the release notes of PyTorch 2.4 and 2.6 (the default
of ``weights_only``) and of TensorFlow 2.0 (the main namespace) and 2.16
(Keras 3); errors that no version can mend are marked ``any``.
"""

PYTORCH = """\
a network class and its forward method | any | works
MSELoss, SGD, zero_grad, backward, step | any | works
loss.item() | any | works
a loop over training_data, as printed | any | NameError
torch.load of a whole model | <2.4 | works
torch.load of a whole model | >=2.4,<2.6 | deprecated
torch.load of a whole model | >=2.6 | UnpicklingError
torch.load, weights_only=False | >=1.13 | works
torch.load of a state_dict | <2.4 | works
torch.load of a state_dict | >=2.4,<2.6 | deprecated
torch.load of a state_dict | >=2.6 | works
register_hook on a layer | any | AttributeError
register_hook on a tensor | any | works
register_forward_hook on a layer | any | works
a snippet that ends inside a call | any | SyntaxError
net.summary() | any | AttributeError
print(net) | any | works
a product of two tensors | any | works"""

# Under tf.compat.v1, or in version 1 itself; from 2.16 with tf_keras
TF1 = """\
placeholder | any | works
layers.dense | any | deprecated
losses.mean_squared_error | any | works
GradientDescentOptimizer | any | works
sess, never defined | any | NameError
a session without an initializer | any | FailedPreconditionError
a session and an initializer | any | works
import_meta_graph(model.meta) | any | OSError
import_meta_graph(model.ckpt.meta), restore | any | works
get_tensor_by_name(x:0) | any | KeyError
get_tensor_by_name(Placeholder:0) | any | works
get_tensor_by_name(fc2/BiasAdd:0) | any | KeyError
Print | >=1.12 | deprecated
summary.scalar, histogram, merge_all | any | works
summary.FileWriter | any | works
a product of two constants | any | works"""

# In the main namespace of version 2
TF2 = """\
placeholder | >=2.0 | AttributeError
layers.dense | >=2.0 | AttributeError
keras.layers.Dense | any | works
losses.mean_squared_error | >=2.0,<2.16 | works
losses.mean_squared_error | >=2.16 | AttributeError
keras.losses.MeanSquaredError | any | works
train.GradientDescentOptimizer | >=2.0 | AttributeError
keras.optimizers.SGD, GradientTape | any | works
Session | >=2.0 | AttributeError
global_variables_initializer | >=2.0 | AttributeError
train.import_meta_graph | >=2.0 | AttributeError
train.Checkpoint | any | works
get_default_graph | >=2.0 | AttributeError
Print | >=2.0 | AttributeError
print | any | works
summary.scalar without a step | >=2.0 | ValueError
summary.scalar with a step | any | works
summary.merge_all | >=2.0 | AttributeError
summary.FileWriter | >=2.0 | AttributeError
a product of two constants | any | works
the same program under compat.v1 | any | works"""


def inputs(seed):
    """Return the rules; no number is drawn, so every seed is the same."""
    return {"rules_pytorch": PYTORCH, "rules_tf1": TF1, "rules_tf2": TF2}


def table(rules):
    """Return the rules as (name, versions, outcome)."""
    return [tuple(rule.split(" | ")) for rule in rules.splitlines()]


def oracle(inputs):
    """Return how many calls are tried, and what the rules promise.

    ``same_everywhere`` are the outcomes that no version changes. Which
    of the others applies depends on the version found, so the program
    picks the rule and lists its ``surprises``: there must be none.
    """
    tables = {
        name: table(inputs["rules_" + name])
        for name in ("pytorch", "tf1", "tf2")
    }
    return {
        "probes": {
            name: len({row[0] for row in rows})
            for name, rows in tables.items()
        },
        "same_everywhere": {
            name: "\n".join(
                "%s: %s" % (call, outcome)
                for call, versions, outcome in rows
                if versions == "any"
            )
            for name, rows in tables.items()
        },
        "surprises": "",
    }
