# The tracepoints of trace.case: gdb takes the lines of `actions` from a file or a terminal only.
tvariable $seen = 10
trace shape_measure
actions
collect shape, *shape, $regs
teval $seen = $seen + 1
collect $seen
collect /s shape->name
end
trace factorial if n < 5
actions
collect n
while-stepping 3
collect $rip, $rsp
end
end
