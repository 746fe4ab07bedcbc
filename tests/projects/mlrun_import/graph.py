import mlrun

fn = mlrun.code_to_function(name="bad")
