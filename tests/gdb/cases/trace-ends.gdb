# The tracepoints of trace-ends.case.
trace factorial
actions
collect $regs
end
trace shape_measure
actions
collect **(int **)(0xffff900000000000 + shape->area)
end
trace print_char
actions
collect $regs
end
