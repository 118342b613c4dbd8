with as_of_customers as (

    select * from {{ ref('int_as_of_customers') }}

),

enrolments as (

    select * from {{ ref('stg_tariffs__enrolments') }}

),

candidates as (

    select
        as_of_customers.customer_key,
        enrolments.tariff_id,
        enrolments.billing_basis,
        as_of_customers.as_of_month_number,
        enrolments.contracted_kw,
        row_number() over (
            partition by as_of_customers.customer_key, as_of_customers.as_of_month_number
            order by enrolments.valid_from_date desc
        ) as recency
    from as_of_customers
    inner join enrolments
        on
            as_of_customers.customer_key = enrolments.customer_key
            and enrolments.valid_from_date <= as_of_customers.month_end_date
            and (enrolments.valid_to_date is null or enrolments.valid_to_date >= as_of_customers.month_end_date)
            and {{ is_visible_in('enrolments', 'as_of_customers.as_of_month_number') }}

),

final as (

    select
        customer_key,
        tariff_id,
        billing_basis,
        as_of_month_number,
        contracted_kw
    from candidates
    where recency = 1

)

select * from final
