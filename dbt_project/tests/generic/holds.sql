{#- Fails for every row for which the condition is false; where it cannot be judged (null) the row passes. -#}
{% test holds(model, condition) %}

select *
from {{ model }}
where not ({{ condition }})

{% endtest %}
