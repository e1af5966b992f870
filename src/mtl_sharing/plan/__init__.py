"""Sharing plans: a notation for the tasks that own each layer.

    plan   = ["E" own "-"] block {"-" block} ["-P" own] ["/" own {"-" own}]
    block  = letter depth [":" groups]         own = letter [":" groups]
    groups = task {"+" task} {"." task {"+" task}}

``S6-I6`` is six shared layers, then six of each task's own. The part after ``/`` is the head
stack, one letter for each hidden head layer.
"""
