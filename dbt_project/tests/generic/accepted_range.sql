{#- Fails for every row whose value lies outside [minimum, maximum]; a missing value passes. -#}
{% test accepted_range(model, column_name, minimum=none, maximum=none) %}

select {{ column_name }}
from {{ model }}
where
    {% if minimum is not none -%}
    {{ column_name }} < {{ minimum }}
    {% else -%}
    false
    {% endif -%}
    {% if maximum is not none -%}
    or {{ column_name }} > {{ maximum }}
    {%- endif %}

{% endtest %}
