{{ config(meta={
    'dagster': {'ref': {'name': 'int_billed_and_metered_energy'}},
    'description':
        'Bills whose whole period was read bill what was metered. Single bills may differ (estimates, later ' ~
        'corrections); when more than 5 % of at least 20 differ by more than 2 % and 1 kWh, a unit or a ' ~
        'multiplier is wrong in the mapping, and nothing downstream should be trained on it.',
}) }}
with comparable_bills as (

    select
        *,
        abs(billed_kwh - metered_kwh) > greatest(1, 0.02 * metered_kwh) as is_different
    from {{ ref('int_billed_and_metered_energy') }}
    where coverage_pct >= 99.9

)

select
    count(*) as bills_count,
    count(case when is_different then 1 end) as different_bills_count
from comparable_bills
having
    count(*) >= 20
    and count(case when is_different then 1 end) > 0.05 * count(*)
