{#-
    Fails for every group in which a total of the model differs from that of another relation by more than `tolerance`.

    `expression` and `other_expression` are aggregates; `group_by` maps a column name to its expression in the other
    relation. A group that only one side has counts with a total of 0 on the other.
-#}
{% test reconciles(
    model, expression, other, other_expression, group_by={}, tolerance=0, condition='true', other_condition='true'
) %}

with totals as (

    select
        {%- for column in group_by %}
        {{ column }},
        {%- endfor %}
        {{ expression }} as total
    from {{ model }}
    where {{ condition }}
    {%- if group_by %}
    group by {{ group_by.keys() | join(', ') }}
    {%- endif %}

),

other_totals as (

    select
        {%- for column, other_column in group_by.items() %}
        {{ other_column }} as {{ column }},
        {%- endfor %}
        {{ other_expression }} as total
    from {{ other }}
    where {{ other_condition }}
    {%- if group_by %}
    group by {{ group_by.values() | join(', ') }}
    {%- endif %}

)

select
    {%- for column in group_by %}
    coalesce(totals.{{ column }}, other_totals.{{ column }}) as {{ column }},
    {%- endfor %}
    totals.total,
    other_totals.total as other_total
from totals
full outer join other_totals
    on
        {% for column in group_by -%}
        totals.{{ column }} = other_totals.{{ column }} and
        {% endfor -%}
        true
where abs(coalesce(totals.total, 0) - coalesce(other_totals.total, 0)) > {{ tolerance }}

{% endtest %}
